"""DIMSE statuses and Failure Reasons by name.

General statuses are those of PS3.7 Annex C. A Failure Reason (0008,1197) of Storage Commitment
(PS3.3 C.14.1.1) or STOW-RS (PS3.18 I.2) is the status of the same code.
"""

SUCCESS = 0x0000
PROCESSING_FAILURE = 0x0110  # PS3.7 C.5.19: a failure of the SCP itself
DUPLICATE_SOP_INSTANCE = 0x0111  # PS3.7 C.5.2
NO_SUCH_SOP_INSTANCE = 0x0112  # PS3.7 C.5.16
INVALID_ARGUMENT_VALUE = 0x0115  # PS3.7 C.5.10
CLASS_INSTANCE_CONFLICT = 0x0119  # PS3.7 C.5.7
SOP_CLASS_NOT_SUPPORTED = 0x0122  # PS3.7 C.5.6, PS3.18 Table I.2-2
NO_SUCH_ACTION = 0x0123  # PS3.7 C.5.14
DUPLICATE_TRANSACTION_UID = 0x0131  # PS3.3 C.14.1.1
RESOURCE_LIMITATION = 0x0213  # PS3.7 C.5.24

# C-STORE, PS3.4 Table B.2-1
OUT_OF_RESOURCES = 0xA700  # disk full, or instance too large
DATA_SET_DOES_NOT_MATCH = 0xA900  # command and data set disagree
UNDECODABLE = 0xC000  # 0xCxxx: truncated, or not a data set
INVALID_UID = 0xC010  # 0xCxxx: a UID is missing or invalid
TRANSFER_SYNTAX_NOT_SUPPORTED = 0xC122  # PS3.18 Table I.2-2

# C-FIND and C-MOVE, PS3.4 Tables C.4-1 and C.4-2
PENDING = 0xFF00
PENDING_OPTIONAL_KEYS_IGNORED = 0xFF01  # PS3.4 Table C.4-1
MOVE_DESTINATION_UNKNOWN = 0xA801
SUB_OPERATIONS_FAILED = 0xB000  # complete, with one or more failed sub-operations
