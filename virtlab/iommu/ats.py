"""Device TLBs: a device that asks for translations, keeps them, and then goes straight to memory.

    device                                    unit
      | -- translation request, iova -------> | as for DMA, but a page without rights is an answer
      | <------- gpa, size, rights ---------- |
      | == translated request, gpa =========> | only if TT is 01: memory, with no look-up

The idea: a device that knows its next buffers translates them early, in a TLB of its own. The unit
then trusts it: that is what `TT` = 01 in the context entry means. So software must tell the device
what to forget, by device-TLB descriptors in the queue.

The rule that keeps it simple: without that trust both kinds of request are blocked, with reason Dh.

Source: VT-d 3.0, 4.1 to 4.3, 7.1.3; PCI Express ATS 1.1, 2. Left out: page requests.
"""

from __future__ import annotations

from virtlab.errors import DmaFault
from virtlab.interrupts import INTERRUPT_RANGE
from virtlab.iommu.layouts import TranslationType
from virtlab.iommu.reasons import Reason
from virtlab.iommu.translation import DmaTranslation
from virtlab.iommu.walk import Walk
from virtlab.memory import PAGE

TRANSLATION_REQUEST, TRANSLATED = 1, 2
"""Address types of a request (ATS 1.1, 2.1). 0 is any other."""


class AtsPort:
    """What `source_id` asks for, and does, with a TLB of its own."""

    def __init__(self, translation: DmaTranslation, source_id: int) -> None:
        self.translation, self.source_id = translation, source_id

    def ask(self, iova: int) -> Walk:
        """A translation request: the page of `iova`, or a page without any right.

        A page of interrupt addresses may be written, untranslated. `DmaFault` where the request is
        refused; that is recorded as any fault.
        """
        self._trusted(iova, False, TRANSLATION_REQUEST)
        if iova in INTERRUPT_RANGE:
            return Walk((), None, iova, PAGE, read=False, write=True)
        page = self.translation.page_of(self.source_id, iova, False)
        if page.reason == Reason.READ:
            page = self.translation.page_of(self.source_id, iova, True)
        if page.reason in (Reason.WRITE, Reason.BEYOND_WIDTH):
            return Walk(page.steps, None, 0, PAGE)
        if page.reason is not None:
            raise self._refusal(page.reason, iova, False, TRANSLATION_REQUEST)
        return page

    def read(self, gpa: int, length: int) -> bytes:
        """A translated request: `length` bytes of memory."""
        self._allow(gpa, length, False)
        return self.translation.memory.read(gpa, length)

    def write(self, gpa: int, data: bytes) -> None:
        """A translated request: put `data` in memory."""
        self._allow(gpa, len(data), True)
        self.translation.memory.write(gpa, data)

    def _allow(self, gpa: int, length: int, write: bool) -> None:
        self._trusted(gpa, write, TRANSLATED)
        if gpa >> self.translation.capabilities.host_width:
            raise self._refusal(Reason.BEYOND_WIDTH, gpa, write, TRANSLATED)
        if gpa in INTERRUPT_RANGE:
            raise self._refusal(Reason.INTERRUPT_RANGE, gpa, write, TRANSLATED)
        self.translation.unprotected(gpa, length)

    def _trusted(self, address: int, write: bool, kind: int) -> None:
        """Its context entry must say that it has a TLB."""
        if not self.translation.enabled:
            raise DmaFault("no translation is enabled", address, 1)
        context = self.translation.context_of(self.source_id)
        if context.reason is not None:
            raise self._refusal(context.reason, address, write, kind)
        if context.kind != TranslationType.DEVICE_TLB:
            raise self._refusal(Reason.BLOCKED, address, write, kind)

    def _refusal(self, reason: Reason, address: int, write: bool, kind: int) -> DmaFault:
        return self.translation.refuse(reason, self.source_id, address, write, kind)
