"""Check of the own TLS certificate: senders refuse one that has expired."""

import ssl

from common.settings.base import CommonSettings
from common.tls import server_context
from worker.diagnostics.diagnostic import Diagnostic

NOT_YET_VALID, EXPIRED = 9, 10
"""X509_V_ERR_CERT_NOT_YET_VALID and X509_V_ERR_CERT_HAS_EXPIRED of OpenSSL."""
REMEDY = "install a new certificate and key, and restart the services"


def check_certificate(settings: CommonSettings) -> Diagnostic:
    """Check that the certificate can be loaded and is valid now, by a handshake in memory."""
    path = settings.tls_cert
    try:
        server = server_context(settings.tls, client_certificate=False)
    except OSError as error:
        return Diagnostic("certificate", False, f"{error.filename}: {error.strerror}", REMEDY)
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.check_hostname = False
    client.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    # The certificate itself: it need not come from the authority of the peers.
    client.load_verify_locations(path)
    code = _verify_code(server, client)
    if code in (NOT_YET_VALID, EXPIRED):
        problem = "has expired" if code == EXPIRED else "is not valid yet (check the clock)"
        return Diagnostic("certificate", False, f"{path} {problem}", REMEDY)
    return Diagnostic("certificate", True, str(path))


def _verify_code(server: ssl.SSLContext, client: ssl.SSLContext) -> int:
    """Return the reason why the client does not trust the server, 0 if it does."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = (
        client.wrap_bio(to_client, to_server),
        server.wrap_bio(to_server, to_client, server_side=True),
    )
    for _ in range(10):  # two flights each
        for end in ends:
            try:
                end.do_handshake()
            except ssl.SSLWantReadError:
                continue
            except ssl.SSLCertVerificationError as error:
                return error.verify_code
            except ssl.SSLError:
                return 0
    return 0
