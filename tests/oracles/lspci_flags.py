"""The bits of `lspci -vvv`: which word with a + or a - behind it is which field of a register.

By capability; then by the label of the line and our name for the register; then by the word.

Left out: DOE Error, which `lspci` 3.9.0 does not take from bit 2 (PCI Express 6.3, 7.9.24.4).
"""

from __future__ import annotations

_ERRORS = {
    "CorrErr": "CORRECTABLE",
    "NonFatalErr": "NON_FATAL",
    "FatalErr": "FATAL",
    "UnsupReq": "UNSUPPORTED_REQUEST",
}
_UNCORRECTABLE = {
    "DLP": "DATA_LINK_PROTOCOL",
    "SDES": "SURPRISE_DOWN",
    "TLP": "POISONED_TLP",
    "FCP": "FLOW_CONTROL",
    "CmpltTO": "COMPLETION_TIMEOUT",
    "CmpltAbrt": "COMPLETER_ABORT",
    "UnxCmplt": "UNEXPECTED_COMPLETION",
    "RxOF": "RECEIVER_OVERFLOW",
    "MalfTLP": "MALFORMED_TLP",
    "ECRC": "ECRC",
    "UnsupReq": "UNSUPPORTED_REQUEST",
    "ACSViol": "ACS_VIOLATION",
}
_CORRECTABLE = {
    "RxErr": "RECEIVER",
    "BadTLP": "BAD_TLP",
    "BadDLLP": "BAD_DLLP",
    "Rollover": "REPLAY_ROLLOVER",
    "Timeout": "REPLAY_TIMEOUT",
    "AdvNonFatalErr": "ADVISORY_NON_FATAL",
}
_ACS = {
    "SrcValid": "SOURCE_VALIDATION",
    "TransBlk": "TRANSLATION_BLOCKING",
    "ReqRedir": "P2P_REQUEST_REDIRECT",
    "CmpltRedir": "P2P_COMPLETION_REDIRECT",
    "UpstreamFwd": "UPSTREAM_FORWARDING",
    "EgressCtrl": "P2P_EGRESS_CONTROL",
    "DirectTrans": "DIRECT_TRANSLATED_P2P",
}
_L1 = {
    "PCI-PM_L1.2": "PCIPM_L1_2",
    "PCI-PM_L1.1": "PCIPM_L1_1",
    "ASPM_L1.2": "ASPM_L1_2",
    "ASPM_L1.1": "ASPM_L1_1",
}
_ARI = {"MFVC": "MFVC", "ACS": "ACS"}

FLAGS: dict[str, dict[tuple[str, str], dict[str, str]]] = {
    "Power Management": {
        ("Flags", "PMC"): {"PMEClk": "PME_CLOCK", "DSI": "DSI", "D1": "D1", "D2": "D2"},
        ("Status", "PMCSR"): {
            "NoSoftRst": "NO_SOFT_RESET",
            "PME-Enable": "PME_ENABLE",
            "PME": "PME_STATUS",
        },
    },
    "MSI": {
        ("", "CONTROL"): {
            "Enable": "ENABLE",
            "Maskable": "PER_VECTOR_MASKING",
            "64bit": "ADDRESS_64",
        }
    },
    "MSI-X": {("", "CONTROL"): {"Enable": "ENABLE", "Masked": "FUNCTION_MASK"}},
    "Slot ID": {("", "EXPANSION_SLOT"): {"First": "FIRST"}},
    "PCI Advanced Features": {
        ("AFCap", "CAPABILITIES"): {"TP": "TRANSACTIONS_PENDING", "FLR": "FLR"},
        ("AFCtrl", "CONTROL"): {"FLR": "INITIATE_FLR"},
        ("AFStatus", "STATUS"): {"TP": "TRANSACTIONS_PENDING"},
    },
    "PCI-X": {("Status", "STATUS"): {"64bit": "BITS_64", "133MHz": "MHZ_133"}},
    "Express": {
        ("", "EXPRESS_CAPABILITIES"): {"Slot": "SLOT"},
        ("DevCap", "DEVICE_CAPABILITIES"): {
            "ExtTag": "EXTENDED_TAG",
            "RBE": "ROLE_BASED_ERROR_REPORTING",
            "FLReset": "FLR",
        },
        ("DevCtl", "DEVICE_CONTROL"): {
            **_ERRORS,
            "RlxdOrd": "RELAXED_ORDERING",
            "ExtTag": "EXTENDED_TAG",
            "PhantFunc": "PHANTOM_FUNCTIONS",
            "AuxPwr": "AUX_POWER",
            "NoSnoop": "NO_SNOOP",
            "FLReset": "INITIATE_FLR",
        },
        ("DevSta", "DEVICE_STATUS"): {
            **_ERRORS,
            "AuxPwr": "AUX_POWER",
            "TransPend": "TRANSACTIONS_PENDING",
        },
        ("LnkCap", "LINK_CAPABILITIES"): {
            "ClockPM": "CLOCK_PM",
            "Surprise": "SURPRISE_DOWN",
            "LLActRep": "LINK_ACTIVE_REPORTING",
            "BwNot": "BANDWIDTH_NOTIFICATION",
            "ASPMOptComp": "ASPM_OPTIONALITY",
        },
        ("LnkCtl", "LINK_CONTROL"): {
            "Disabled": "DISABLE",
            "LnkDisable": "DISABLE",
            "CommClk": "COMMON_CLOCK",
            "ExtSynch": "EXTENDED_SYNCH",
            "ClockPM": "CLOCK_PM",
            "AutWidDis": "AUTONOMOUS_WIDTH_DISABLE",
            "BWInt": "BANDWIDTH_INTERRUPT",
            "AutBWInt": "AUTONOMOUS_BANDWIDTH_INTERRUPT",
        },
        ("LnkSta", "LINK_STATUS"): {
            "Train": "TRAINING",
            "SlotClk": "SLOT_CLOCK",
            "DLActive": "LINK_ACTIVE",
            "BWMgmt": "BANDWIDTH_CHANGED",
            "ABWMgmt": "AUTONOMOUS_BANDWIDTH_CHANGED",
        },
        ("SltCap", "SLOT_CAPABILITIES"): {
            "AttnBtn": "ATTENTION_BUTTON",
            "PwrCtrl": "POWER_CONTROLLER",
            "MRL": "MRL_SENSOR",
            "AttnInd": "ATTENTION_INDICATOR",
            "PwrInd": "POWER_INDICATOR",
            "HotPlug": "HOT_PLUG_CAPABLE",
            "Surprise": "HOT_PLUG_SURPRISE",
            "Interlock": "INTERLOCK",
            "NoCompl": "NO_COMMAND_COMPLETED",
        },
        ("SltCtl", "SLOT_CONTROL"): {
            "AttnBtn": "ATTENTION_BUTTON",
            "PwrFlt": "POWER_FAULT",
            "MRL": "MRL_SENSOR",
            "PresDet": "PRESENCE_DETECT",
            "CmdCplt": "COMMAND_COMPLETED",
            "HPIrq": "HOT_PLUG_INTERRUPT",
            "LinkChg": "LINK_STATE",
            "Power": "POWER_OFF",
            "Interlock": "INTERLOCK",
        },
        ("SltSta", "SLOT_STATUS"): {
            "AttnBtn": "ATTENTION_BUTTON",
            "PowerFlt": "POWER_FAULT",
            "MRL": "MRL_OPEN",
            "CmdCplt": "COMMAND_COMPLETED",
            "PresDet": "PRESENCE_DETECT",
            "Interlock": "INTERLOCK",
            "Changed: MRL": "MRL_SENSOR_CHANGED",
            "LinkState": "LINK_STATE_CHANGED",
        },
        ("RootCap", "ROOT_CAPABILITIES"): {"CRSVisible": "RETRY_VISIBLE"},
        ("RootCtl", "ROOT_CONTROL"): {
            "ErrCorrectable": "SERR_ON_CORRECTABLE",
            "ErrNon-Fatal": "SERR_ON_NON_FATAL",
            "ErrFatal": "SERR_ON_FATAL",
            "PMEIntEna": "PME_INTERRUPT",
            "CRSVisible": "RETRY_VISIBLE",
        },
        ("RootSta", "ROOT_STATUS"): {"PMEStatus": "PME_STATUS", "PMEPending": "PME_PENDING"},
        ("DevCap2", "DEVICE_CAPABILITIES_2"): {
            "TimeoutDis": "COMPLETION_TIMEOUT_DISABLE",
            "LTR": "LTR",
            "ExtFmt": "EXTENDED_FORMAT",
            "EETLPPrefix": "END_END_PREFIX",
            "ARIFwd": "ARI_FORWARDING",
            "Routing": "ATOMIC_ROUTING",
            "32bit": "ATOMIC_32",
            "64bit": "ATOMIC_64",
            "128bitCAS": "CAS_128",
        },
        ("DevCtl2", "DEVICE_CONTROL_2"): {
            "TimeoutDis": "COMPLETION_TIMEOUT_DISABLE",
            "LTR": "LTR",
            "ARIFwd": "ARI_FORWARDING",
            "ReqEn": "ATOMIC_REQUESTER",
            "EgressBlck": "ATOMIC_EGRESS_BLOCK",
        },
        ("LnkCap2", "LINK_CAPABILITIES_2"): {"Crosslink": "CROSSLINK"},
        ("LnkCtl2", "LINK_CONTROL_2"): {
            "EnterCompliance": "ENTER_COMPLIANCE",
            "SpeedDis": "AUTONOMOUS_SPEED_DISABLE",
            "EnterModifiedCompliance": "ENTER_MODIFIED_COMPLIANCE",
            "ComplianceSOS": "COMPLIANCE_SOS",
        },
        ("LnkSta2", "LINK_STATUS_2"): {
            "EqualizationComplete": "EQUALIZATION_COMPLETE",
            "EqualizationPhase1": "EQUALIZATION_PHASE_1",
            "EqualizationPhase2": "EQUALIZATION_PHASE_2",
            "EqualizationPhase3": "EQUALIZATION_PHASE_3",
            "LinkEqualizationRequest": "EQUALIZATION_REQUEST",
        },
    },
    "Advanced Error Reporting": {
        ("UESta", "UNCORRECTABLE_STATUS"): _UNCORRECTABLE,
        ("UEMsk", "UNCORRECTABLE_MASK"): _UNCORRECTABLE,
        ("UESvrt", "UNCORRECTABLE_SEVERITY"): _UNCORRECTABLE,
        ("CESta", "CORRECTABLE_STATUS"): _CORRECTABLE,
        ("CEMsk", "CORRECTABLE_MASK"): _CORRECTABLE,
        ("AERCap", "CONTROL"): {
            "ECRCGenCap": "ECRC_GENERATION_CAPABLE",
            "ECRCGenEn": "ECRC_GENERATION_ENABLE",
            "ECRCChkCap": "ECRC_CHECK_CAPABLE",
            "ECRCChkEn": "ECRC_CHECK_ENABLE",
            "MultHdrRecCap": "MULTIPLE_HEADER_CAPABLE",
            "MultHdrRecEn": "MULTIPLE_HEADER_ENABLE",
            "TLPPfxPres": "PREFIX_LOG_PRESENT",
        },
        ("RootCmd", "ROOT_COMMAND"): {
            "CERptEn": "CORRECTABLE",
            "NFERptEn": "NON_FATAL",
            "FERptEn": "FATAL",
        },
        ("RootSta", "ROOT_STATUS"): {
            "CERcvd": "CORRECTABLE",
            "MultCERcvd": "MORE_CORRECTABLE",
            "UERcvd": "UNCORRECTABLE",
            "MultUERcvd": "MORE_UNCORRECTABLE",
            "FirstFatal": "FIRST_FATAL",
            "NonFatalMsg": "NON_FATAL",
            "FatalMsg": "FATAL",
        },
    },
    "Access Control Services": {("ACSCap", "CAPABILITY"): _ACS, ("ACSCtl", "CONTROL"): _ACS},
    "Alternative Routing-ID Interpretation (ARI)": {
        ("ARICap", "CAPABILITY"): _ARI,
        ("ARICtl", "CONTROL"): _ARI,
    },
    "Address Translation Service (ATS)": {("ATSCtl", "CONTROL"): {"Enable": "ENABLE"}},
    "Page Request Interface (PRI)": {
        ("PRICtl", "CONTROL"): {"Enable": "ENABLE", "Reset": "RESET"},
        ("PRISta", "STATUS"): {
            "RF": "RESPONSE_FAILURE",
            "UPRGI": "UNEXPECTED_GROUP",
            "Stopped": "STOPPED",
        },
    },
    "Process Address Space ID (PASID)": {
        ("PASIDCap", "CAPABILITY"): {"Exec": "EXECUTE", "Priv": "PRIVILEGED"},
        ("PASIDCtl", "CONTROL"): {"Enable": "ENABLE", "Exec": "EXECUTE", "Priv": "PRIVILEGED"},
    },
    "Single Root I/O Virtualization (SR-IOV)": {
        ("IOVCap", "CAPABILITIES"): {"Migration": "VF_MIGRATION"},
        ("IOVCtl", "CONTROL"): {
            "Enable": "VF_ENABLE",
            "Migration": "MIGRATION_ENABLE",
            "Interrupt": "MIGRATION_INTERRUPT",
            "MSE": "VF_MSE",
            "ARIHierarchy": "ARI_HIERARCHY",
        },
        ("IOVSta", "STATUS"): {"Migration": "MIGRATION"},
    },
    "Virtual Channel": {
        ("Status", "PORT_STATUS"): {"InProgress": "TABLE"},
        ("VC0", "VC0_CONTROL"): {"Enable": "ENABLE"},
        ("VC0", "VC0_STATUS"): {"NegoPending": "NEGOTIATION_PENDING", "InProgress": "TABLE"},
    },
    "Downstream Port Containment": {
        ("DpcCap", "CAPABILITY"): {
            "RPExt": "ROOT_PORT",
            "PoisonedTLP": "POISONED_TLP",
            "SwTrigger": "SOFTWARE_TRIGGER",
        },
        ("DpcCtl", "CONTROL"): {"Cmpl": "COMPLETION", "INT": "INTERRUPT"},
        ("DpcSta", "STATUS"): {"Trigger": "TRIGGERED", "INT": "INTERRUPT"},
    },
    "L1 PM Substates": {("L1SubCap", "CAPABILITIES"): _L1, ("L1SubCtl1", "CONTROL_1"): _L1},
    "Precision Time Measurement": {
        ("PTMCap", "CAPABILITY"): {
            "Requester": "REQUESTER",
            "Responder": "RESPONDER",
            "Root": "ROOT",
        },
        ("PTMControl", "CONTROL"): {"Enabled": "ENABLE", "RootSelected": "ROOT_SELECT"},
    },
    "Secondary PCI Express": {
        ("LnkCtl3", "LINK_CONTROL_3"): {
            "LnkEquIntrruptEn": "EQUALIZATION_INTERRUPT",
            "PerformEqu": "PERFORM_EQUALIZATION",
        }
    },
    "Multicast": {("McastCtl", "CONTROL"): {"Enable": "ENABLE"}},
    "Data Object Exchange": {
        ("DOECap", "CAPABILITIES"): {"IntSup": "INTERRUPT"},
        ("DOECtl", "CONTROL"): {"IntEn": "INTERRUPT"},
        ("DOESta", "STATUS"): {
            "Busy": "BUSY",
            "IntSta": "INTERRUPT",
            "ObjectReady": "READY",
        },
    },
}
"""By capability, label and register: the words with a + or a - behind them."""
