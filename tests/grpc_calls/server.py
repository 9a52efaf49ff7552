"""A gRPC server of raw bytes: any service, methods by their last name. Says where it listens, and what becomes of calls.

server.py [CERTIFICATE KEY]
"""

import sys
import threading
from concurrent import futures

import grpc


def say(*words):
    print(*words, flush=True)


def unary(request, context):
    sent = dict(context.invocation_metadata())
    context.send_initial_metadata((("x-initial", sent.get("x-asked", "")),))
    context.set_trailing_metadata((("x-trailer", "t"), ("x-bytes-bin", b"\x00\xff")))
    return request[::-1]


def server_stream(request, context):
    for number in range(int(request)):
        yield b"%d" % number
    context.set_trailing_metadata((("x-trailer", "t"),))


def client_stream(requests, context):
    return b"".join(requests)


def bidirectional(requests, context):
    for request in requests:
        yield request.upper()


def fail(request, context):
    context.set_trailing_metadata((("x-trailer", "t"),))
    context.abort(grpc.StatusCode.FAILED_PRECONDITION, "no, 100 %\u00e9")


def wait(request, context):
    ended = threading.Event()
    context.add_callback(ended.set)
    remaining = context.time_remaining()
    say("waits", "without deadline" if remaining is None or remaining > 3600 else "with deadline")
    yield b"waiting"
    ended.wait(60)
    say("cancelled", request.decode())


def large(request, context):
    return bytes(int(request))


METHODS = {
    "Unary": grpc.unary_unary_rpc_method_handler(unary),
    "ServerStream": grpc.unary_stream_rpc_method_handler(server_stream),
    "ClientStream": grpc.stream_unary_rpc_method_handler(client_stream),
    "Bidirectional": grpc.stream_stream_rpc_method_handler(bidirectional),
    "Fail": grpc.unary_unary_rpc_method_handler(fail),
    "Wait": grpc.unary_stream_rpc_method_handler(wait),
    "Large": grpc.unary_unary_rpc_method_handler(large),
}


class Handlers(grpc.GenericRpcHandler):
    def service(self, call):
        return METHODS.get(call.method.rsplit("/", 1)[1])


def main():
    server = grpc.server(futures.ThreadPoolExecutor(16))
    server.add_generic_rpc_handlers((Handlers(),))
    if len(sys.argv) == 3:
        chain, key = (open(name, "rb").read() for name in sys.argv[1:])
        credentials = grpc.ssl_server_credentials(((key, chain),))
        port = server.add_secure_port("127.0.0.1:0", credentials)
    else:
        port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    say("listening", port)
    # The test that began it holds the other end.
    sys.stdin.read()
    server.stop(0)


main()
