"""One upstream exchange over HTTP: opened, read as it arrives, closed from anywhere. The only importer of requests.

What a request says is the caller's business: its header lines go out in the order and case given, and nothing is added.
`requests` and urllib3 bring connections, TLS and proxies; what is said on a connection is written here in one piece, and the
answer is read from the socket itself, because only there a read can time out and go on, and a byte that has come is a byte that
can be sent on.
"""

from floway.transport.cancelling import Cancellation, PeerDenied, cancellable, reaching
from floway.transport.connecting import sweep
from floway.transport.exchanging import Response, cookie_header, send

__all__ = ["Cancellation", "PeerDenied", "Response", "cancellable", "cookie_header", "reaching", "send", "sweep"]
