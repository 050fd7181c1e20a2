"""Why an engine or a model could not be brought: each error says what to do."""


class ProvisionError(Exception):
    """It could not be brought. The cache is as it was, but for a partial download that the next try goes on with."""


class DigestError(ProvisionError):
    """What was downloaded is not what was pinned. It was deleted."""


class PreflightError(ProvisionError):
    """This host lacks something, or has it in another version; the text names each with its remedy."""


class OutboundRefusedError(ProvisionError):
    """The outbound policy refuses the connection; the text names scheme, host, port and the rule."""


class StoppedError(ProvisionError):
    """Whoever wanted it does not want it any more; the next try goes on where this one stopped."""


class BadReferenceError(ProvisionError):
    """What was named is no model reference; the text says what would be one."""


class FormatError(ProvisionError):
    """The file is no model that may be loaded: its header is not sane, or it is a pickle. It was quarantined."""


class NoRoomError(ProvisionError):
    """The quota or the disk has no room for it, also after evicting what is not in use. Nothing was evicted for it."""
