"""Plausible wrong answers to task 6 of problem set 6: small groups, plans that leak."""

from tests.course.wrong.slips import slipped

CLIMB = """        while here is not None:
            if not here.isolates:
                key = ("device", here.device)
            here = known.get(here.above)
"""
MARK = """            if not here.isolates:
                key = ("device", here.device)
"""
ADD = "        groups.setdefault(key, []).append(each.name)\n"
GROUPS = "    return list(groups.values())\n"
MEMBERS = '        members = [name for name in group if known[name].kind != "bridge"]\n'
KEPT = '        kept = any(known[name].kind in ("pf", "host") for name in members)\n'
WHOLE = "        whole |= dict.fromkeys(members, [] if kept else members)\n"
HOST = """            if not members:
                plan[name] = "host"
            elif any"""
ROOT = """            elif any(root not in known[member].roots for member in members):
                plan[name] = "root"
"""
TAKEN = """            elif taken.intersection(members):
                plan[name] = "taken"
"""
GIVE = """                plan[name] = members
                taken.update(members)
"""
ROOTS = "    for roots in product(*(pf.roots for pf in pfs)):\n"
FREE = """            if each.kind == "vf" and whole[each.name]:
                free[hierarchy[each.pf]].append(each.name)
"""
ORDER = "sorted(vms, key=lambda vm: vm[2][1])"
FITS = "            if count <= len(free[root]):\n"
CUT = "                del free[root][:count]\n"
BEST = "        best = max(best, served, key=len)\n"
REST = '    return {name: best.get(name, "software") for name, _, _ in vms}\n'

ISOLATED = ["ports that isolate"]
OPEN = ["a switch with an open port"]
ALL = ["all at once, carried out", "any wishes", "any board, carried out"]

WRONG_Q6 = slipped(
    "ps06",
    "ps6.q6",
    [
        ("no return", GROUPS, "", ISOLATED),
        ("the dict", GROUPS, "    return groups\n", ISOLATED),
        ("a view of it", GROUPS, "    return groups.values()\n", ISOLATED),
        ("sets", GROUPS, "    return [set(group) for group in groups.values()]\n", ISOLATED),
        ("functions, not names", ADD, ADD.replace("each.name", "each"), ISOLATED),
        ("no bridges", GROUPS,
         '    return [g for g in groups.values() if known[g[0]].kind != "bridge"]\n', ISOLATED),
        ("one group", ADD, ADD.replace("key", "None", 1), ISOLATED),
        ("by the bridge above", ADD, ADD.replace("key", "each.above", 1), ISOLATED),
        ("by the root", ADD, ADD.replace("key", "each.roots", 1), ISOLATED),
        ("turned round", MARK, MARK.replace("not here.isolates", "here.isolates"), ISOLATED),
        ("each alone", MARK, "", OPEN),
        ("only the bridge above it", CLIMB, """        parent = known.get(here.above)
        if parent is not None and not parent.isolates:
            key = ("device", parent.device)
""", OPEN),
        ("the bridge itself is alone", CLIMB, """        here = known.get(here.above)
        while here is not None:
            if not here.isolates:
                key = ("device", here.device)
            here = known.get(here.above)
""", OPEN),
        ("the lowest decides", MARK, """            if not here.isolates:
                key = ("device", here.device)
                break
""", OPEN),
        ("it stops at one that isolates", CLIMB,
         """        while here is not None and not here.isolates:
            key = ("device", here.device)
            here = known.get(here.above)
""", OPEN),
        ("two levels are enough", CLIMB, """        for _ in range(2):
            if here is not None:
                if not here.isolates:
                    key = ("device", here.device)
                here = known.get(here.above)
""", OPEN),
        ("bridges alone count", MARK, MARK.replace(
            "not here.isolates", 'here.kind == "bridge" and not here.isolates'),
         ["functions of one device"]),
        ("by its name", '("device", here.device)', '("device", here.name)',
         ["functions of one device"]),
        ("functions of a device always", '("alone", each.name)', '("device", each.device)',
         ["functions that isolate"]),
        ("VFs with their PF", '("alone", each.name)', '("alone", each.pf or each.name)', ["VFs"]),
        ("VFs are not in it", "    for each in functions:\n        key",
         '    for each in functions:\n        if each.kind == "vf":\n            continue\n'
         "        key", ["VFs"]),
        ("root A only", "    groups = {}\n",
         '    groups = {}\n    functions = [each for each in functions if "A" in each.roots]\n',
         ["two roots"]),
        ("no plan", "    return plan\n", "", ["nobody wishes for anything"]),
        ("None for none", "            plan[name] = []\n", "            plan[name] = None\n",
         ["nobody wishes for anything"]),
        ("no entry for none", "            plan[name] = []\n", "            pass\n",
         ["nobody wishes for anything"]),
        ("a word for none", "            plan[name] = []\n", '            plan[name] = "none"\n',
         ["nobody wishes for anything"]),
        ("everything for everybody", "            plan[name] = []\n",
         '            plan[name] = [e.name for e in functions if e.kind == "card"]\n',
         ["nobody wishes for anything"]),
        ("a name, no list", "                plan[name] = members\n",
         "                plan[name] = wish[1]\n", ["a card"]),
        ("a tuple", "                plan[name] = members\n",
         "                plan[name] = tuple(members)\n", ["a card"]),
        ("bridges go with it", MEMBERS, "        members = list(group)\n",
         ["the others of its group"]),
        ("only the card", GIVE, GIVE.replace("= members", "= [wish[1]]"),
         ["the others of its group"]),
        ("only its device", GIVE, GIVE.replace("= members",
         "= [m for m in members if known[m].device == known[wish[1]].device]"),
         ["the others of its group"]),
        ("a group with another is refused", HOST, HOST.replace(
            "not members", "not members or len(members) > 1"), ["the others of its group"]),
        ("the host keeps nothing", KEPT, "        kept = False\n", ["a card that the host needs"]),
        ("the host keeps PFs only", KEPT, KEPT.replace('("pf", "host")', '("pf",)'),
         ["a card that the host needs"]),
        ("the host keeps its cards only", KEPT, KEPT.replace('("pf", "host")', '("host",)'),
         ["the PF"]),
        ("only the host's own is refused", WHOLE,
         "        for name in members:\n"
         '            own = known[name].kind in ("pf", "host")\n'
         '            rest = [m for m in members if known[m].kind not in ("pf", "host")]\n'
         "            whole[name] = [] if own else rest\n", ["a card in the host's group"]),
        ("software for a card", HOST, HOST.replace('"host"', '"software"'),
         ["a card that the host needs"]),
        ("a word of one's own", HOST, HOST.replace('"host"', '"refused"'),
         ["a card that the host needs"]),
        ("nothing instead of a word", HOST, HOST.replace('"host"', "[]"),
         ["a card that the host needs"]),
        ("given twice", GIVE, "                plan[name] = members\n",
         ["a card that two wish for"]),
        ("its name is taken, its group is not", TAKEN + "            else:\n" + GIVE,
         TAKEN.replace("taken.intersection(members)", "wish[1] in taken") + "            else:\n"
         + GIVE.replace("update(members)", "add(wish[1])"), ["two cards of one group"]),
        ("taken is host", TAKEN, TAKEN.replace('"taken"', '"host"'),
         ["a card that two wish for"]),
        ("nobody gets what two wish for",
         "    for name, root, wish in vms:\n        if wish is None",
         "    cards = [w[1] for _, _, w in vms if w and w[0] == 'card']\n"
         "    taken = {c for c in cards if cards.count(c) > 1}\n"
         "    for name, root, wish in vms:\n        if wish is None", ["a card that two wish for"]),
        ("all in software", REST, '    return {name: "software" for name, _, _ in vms}\n',
         ["VFs for all"]),
        ("no software", REST, "    return {name: best.get(name, []) for name, _, _ in vms}\n",
         ["more than there are"]),
        ("virtio", REST, REST.replace('"software"', '"virtio"'), ["more than there are"]),
        ("as many as there are", FITS, "            if free[root]:\n", ["more than there are"]),
        ("one VF each", CUT, CUT.replace("[:count]", "[:1]"), ["VFs for all"]),
        ("never used up", CUT, "                pass\n", ["VFs for all"]),
        ("fewer than there are", FITS, FITS.replace("<=", "<"), ["VFs for all"]),
        ("VFs in any group", FREE, FREE.replace(" and whole[each.name]", ""),
         ["VFs in their PF's group"]),
        ("the PF as well", FREE,
         FREE.replace('each.kind == "vf" and', 'each.kind in ("pf", "vf") and')
         .replace("whole[each.name]", "True").replace("[each.pf]", "[each.pf or each.name]"),
         ["VFs for all", "more than there are"]),
        ("cards count as VFs", '            if each.kind == "vf" and whole[each.name]:\n'
         "                free[hierarchy[each.pf]].append(each.name)\n",
         '            if each.kind in ("vf", "card") and whole[each.name]:\n'
         "                free[hierarchy.get(each.pf, each.roots[0])].append(each.name)\n",
         ["VFs for all", "more than there are", "VFs in their PF's group", "no VFs at all"]),
        ("of one PF only", FITS,
         """            pools = [[v for v in free[root] if v.startswith(pf.name)] for pf in pfs]
            free[root] = next((p for p in pools if count <= len(p)), [])
            if count <= len(free[root]):
""", ["VFs of several cards"]),
        ("first come, first served", ORDER, "vms", ["too few VFs"]),
        ("the largest first", ORDER, "sorted(vms, key=lambda vm: -vm[2][1])", ["too few VFs"]),
        ("it ends with the first that has too few", FITS,
         "            if count > len(free[root]):\n                break\n            else:\n",
         ["VFs of another root"]),
        ("any root", ROOT, "", ["a card of another root"]),
        ("another root's is the host's", ROOT, ROOT.replace('"root"', '"host"'),
         ["a card of another root"]),
        ("roots must be equal", ROOT, ROOT.replace("root not in known[member].roots",
         "root != known[member].roots"), ["a card that both roots share"]),
        ("the first that wishes has it", ROOT + TAKEN, TAKEN + ROOT.replace(
            '"root"\n', '"root"\n                taken.update(members)\n'),
         ["a card of another root, and one who can have it"]),
        ("VFs of any root", "free[root]", 'free["A"]', ["VFs of another root"]),
        ("one pool", "                free[hierarchy[each.pf]].append(each.name)\n",
         '                free["A"].append(each.name)\n'
         '                free["B"] = free["A"]\n', ["VFs of another root"]),
        ("shared PFs at the first root", ROOTS,
         "    for roots in [[pf.roots[0] for pf in pfs]]:\n",
         ["a network card that both share"]),
        ("shared PFs at the last root", ROOTS,
         "    for roots in [[pf.roots[-1] for pf in pfs]]:\n",
         ["two of them", "any wishes"]),
        ("shared VFs in both roots", "                free[hierarchy[each.pf]].append(each.name)\n",
         "                for letter in next(p.roots for p in pfs if p.name == each.pf):\n"
         "                    free[letter].append(each.name)\n",
         ["a network card that both share"]),
        ("all shared PFs in one root", ROOTS,
         '    for letter in "AB":\n'
         "        roots = [pf.roots if len(pf.roots) == 1 else letter for pf in pfs]\n",
         ["two of them"]),
        ("the last way, not the best", BEST, "        best = served\n",
         ["two of them", "any wishes"]),
        ("most VFs, not most VMs", BEST,
         "        best = max(best, served, key=lambda plan: sum(map(len, plan.values())))\n",
         ["two of them", "any wishes", "a network card that both share"]),
        ("VFs that are taken, again", "    return plan\n",
         "    for name, root, wish in vms:\n"
         '        if plan[name] == "software" and wish[1] == 1:\n'
         '            free = [e.name for e in functions if e.kind == "vf"]\n'
         '            plan[name] = free[:1] or "software"\n'
         "    return plan\n", ["VFs in their PF's group", "too few VFs"]),
    ],
)  # fmt: skip
