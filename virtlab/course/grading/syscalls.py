"""The system calls that a child may make: an allow-list, for two kinds of processor.

    clone      as a thread only          fcntl, ioctl   a few commands
    kill       itself only               prctl          its name
    prlimit64  to read a limit           clone3         ENOSYS: the C library falls back to clone
    all others that are not listed       EPERM, or ENOSYS above `NEWEST`: as on an older kernel

The idea: what Python, NumPy and threads need is short, and what a kernel offers is long. So new
processes, sockets, ptrace, mounts, io_uring, keys and namespaces need no mention: they are absent.

The rule that keeps it simple: a name has one line, with its number on x86-64 and on AArch64. A call
that AArch64 never had is a dash there. Numbers are those of Linux's `asm/unistd_64.h` and
`asm-generic/unistd.h`; a test compares them where the headers are installed.

What it leaves out, though it looks harmless: `memfd_create` and System V shared memory (memory
that no limit of the process counts), `socketpair`, `mincore` (tells what others read), `F_SETOWN`
and `F_SETSIG` (with them a pipe sends any signal to any process), `F_SETLK` (locks without number),
PR_SET_PDEATHSIG.
"""

from __future__ import annotations

from typing import NamedTuple

TABLE = """
# files that are open
read 0 63; write 1 64; close 3 57; lseek 8 62; pread64 17 67; pwrite64 18 68
readv 19 65; writev 20 66; preadv 295 69; pwritev 296 70; preadv2 327 286
pwritev2 328 287; dup 32 23; dup2 33 -; dup3 292 24; pipe 22 -; pipe2 293 59; fstat 5 80
ftruncate 77 46; fallocate 285 47; fsync 74 82; fdatasync 75 83; fadvise64 221 223
sync_file_range 277 84; sendfile 40 71; copy_file_range 326 285
fstatfs 138 44; getdents 78 -; getdents64 217 61; close_range 436 436
# files by name
open 2 -; creat 85 -; openat 257 56; openat2 437 437; stat 4 -; lstat 6 -
newfstatat 262 79; statx 332 291; access 21 -; faccessat 269 48; faccessat2 439 439
readlink 89 -; readlinkat 267 78; statfs 137 43; getcwd 79 17; chdir 80 49; fchdir 81 50
mkdir 83 -; mkdirat 258 34; rmdir 84 -; unlink 87 -; unlinkat 263 35; rename 82 -
renameat 264 38; renameat2 316 276; link 86 -; linkat 265 37; symlink 88 -
symlinkat 266 36; umask 95 166
# waiting
select 23 -; pselect6 270 72; poll 7 -; ppoll 271 73; epoll_create 213 -
epoll_create1 291 20; epoll_ctl 233 21; epoll_wait 232 -; epoll_pwait 281 22
epoll_pwait2 441 441; eventfd 284 -; eventfd2 290 19; futex 202 98; futex_waitv 449 449
nanosleep 35 101; clock_nanosleep 230 115; pause 34 -; restart_syscall 219 128
sched_yield 24 124; wait4 61 260; waitid 247 95
# memory
mmap 9 222; munmap 11 215; mremap 25 216; mprotect 10 226; madvise 28 233; msync 26 227
brk 12 214
# signals, to itself
rt_sigaction 13 134; rt_sigprocmask 14 135; rt_sigreturn 15 139; rt_sigpending 127 136
rt_sigtimedwait 128 137; rt_sigsuspend 130 133; sigaltstack 131 132
# time
gettimeofday 96 169; time 201 -; clock_gettime 228 113; clock_getres 229 114
times 100 153; getitimer 36 102; setitimer 38 103; alarm 37 -
# who am I, where, and how much
getpid 39 172; getppid 110 173; gettid 186 178; getuid 102 174; geteuid 107 175
getgid 104 176; getegid 108 177; getresuid 118 148; getresgid 120 150; getgroups 115 158
getpgid 121 155; getpgrp 111 -; getsid 124 156; getpriority 140 141; getrlimit 97 163
getrusage 98 165; uname 63 160; sysinfo 99 179; getcpu 309 168
sched_getaffinity 204 123; getrandom 318 278
# threads, and the end
set_tid_address 218 96; set_robust_list 273 99; rseq 334 293; exit 60 93
exit_group 231 94
"""
"""Calls that are always allowed: `name x86-64 aarch64`, separated by semicolons."""

ALONE = """
# what is written beside a file, and not in it: rights, times, attributes
chmod 90 -; fchmod 91 52; fchmodat 268 53; utime 132 -; utimes 235 -; futimesat 261 -
utimensat 280 88; getxattr 191 8; lgetxattr 192 9; fgetxattr 193 10; listxattr 194 11
llistxattr 195 12; flistxattr 196 13
# a file that is cut by its name: Landlock holds it from Linux 6.2 on
truncate 76 45
"""
"""Calls that are allowed only to a child with files of its own: Landlock does not hold them."""


class Machine(NamedTuple):
    """One kind of processor: its `AUDIT_ARCH_*`, its column in the table, its guarded calls."""

    audit: int
    column: int
    clone: int
    clone3: int
    kill: int
    tgkill: int
    fcntl: int
    ioctl: int
    prctl: int
    prlimit64: int

    def allowed(self, alone: bool = True) -> list[int]:
        """The numbers of all calls in the table, ascending; of both tables if it is `alone`."""
        lines = (TABLE + ALONE if alone else TABLE).splitlines()
        rows = [entry.split() for line in lines for entry in _entries(line)]
        return sorted(int(row[self.column]) for row in rows if row[self.column] != "-")


def _entries(line: str) -> list[str]:
    return [] if line.startswith("#") else [entry for entry in line.split(";") if entry.strip()]


MACHINES = {
    "x86_64": Machine(0xC000003E, 1, 56, 435, 62, 234, 72, 16, 157, 302),
    "aarch64": Machine(0xC00000B7, 2, 220, 435, 129, 131, 25, 29, 167, 261),
}
"""By what `os.uname().machine` says: EM_X86_64 and EM_AARCH64, 64 bits, little-endian."""

NEWEST = 450
"""The highest number that this table knows of; what is above answers ENOSYS."""

THREAD = 0x00010000
"""CLONE_THREAD: a new task belongs to this process."""
THREAD_FLAGS = 0x007D0F00
"""What the C libraries (glibc, musl) say when they make a thread."""

FCNTL = (0, 1, 2, 3, 4, 1030)
"""F_DUPFD, F_GETFD, F_SETFD, F_GETFL, F_SETFL, F_DUPFD_CLOEXEC."""
IOCTL = (0x5401, 0x5413, 0x541B, 0x5421, 0x5450, 0x5451)
"""TCGETS (is it a terminal?), TIOCGWINSZ, FIONREAD, FIONBIO, FIONCLEX, FIOCLEX."""
PRCTL = (15, 16, 0x53564D41)
"""PR_SET_NAME, PR_GET_NAME, PR_SET_VMA."""
