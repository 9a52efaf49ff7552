"""Calls the server through a gateway, in every way there is, and fails where an answer is not the server's own.

client.py ADDRESS SERVICE | client.py ADDRESS refused
"""

import sys
import threading

import grpc

PATIENCE = 60


def metadata(call):
    return {key: value for key, value in call.trailing_metadata() or ()}


def code(call, streams=False):
    """The status of a call that fails, and what is said of it."""
    try:
        list(call) if streams else call.result()
    except grpc.RpcError as error:
        return error.code(), error.details()
    raise AssertionError("the call did not fail")


def calls(channel, service):
    def path(method):
        return f"/{service}/{method}"

    unary = channel.unary_unary(path("Unary"))
    answer, call = unary.with_call(b"abc", timeout=PATIENCE, metadata=(("x-asked", "i"),))
    assert answer == b"cba", answer
    assert ("x-initial", "i") in call.initial_metadata(), call.initial_metadata()
    assert metadata(call)["x-trailer"] == "t", metadata(call)
    assert metadata(call)["x-bytes-bin"] == b"\x00\xff", metadata(call)
    assert unary(b"", timeout=PATIENCE) == b""

    call = channel.unary_stream(path("ServerStream"))(b"100", timeout=PATIENCE)
    assert [int(each) for each in call] == list(range(100))
    assert metadata(call)["x-trailer"] == "t", metadata(call)

    large = [bytes([each]) * 100_000 for each in range(20)]
    joined = channel.stream_unary(path("ClientStream"))(iter(large), timeout=PATIENCE)
    assert joined == b"".join(large)

    # Each message goes out only when the answer to the one before is there.
    answered = threading.Semaphore(1)

    def requests():
        for each in range(20):
            assert answered.acquire(timeout=PATIENCE)
            yield b"m%d" % each

    echoed = []
    for each in channel.stream_stream(path("Bidirectional"))(requests(), timeout=PATIENCE):
        echoed.append(each)
        answered.release()
    assert echoed == [b"M%d" % each for each in range(20)], echoed

    size = 3 << 20
    assert len(channel.unary_unary(path("Large"))(b"%d" % size, timeout=PATIENCE)) == size

    failed = channel.unary_unary(path("Fail")).future(b"", timeout=PATIENCE)
    assert code(failed) == (grpc.StatusCode.FAILED_PRECONDITION, "no, 100 %\u00e9")
    assert metadata(failed)["x-trailer"] == "t"
    assert code(channel.unary_unary(path("Nothing")).future(b"", timeout=PATIENCE))[0] == grpc.StatusCode.UNIMPLEMENTED

    wait = channel.unary_stream(path("Wait"))
    call = wait(b"deadline", timeout=1)
    assert next(call) == b"waiting"
    assert code(call, streams=True)[0] == grpc.StatusCode.DEADLINE_EXCEEDED
    call = wait(b"client")
    assert next(call) == b"waiting"
    call.cancel()
    # The connection serves on.
    assert unary(b"abc", timeout=PATIENCE) == b"cba"


def refused(channel):
    """What the gateway itself says no to, or breaks off."""
    def status(path):
        return code(channel.unary_unary(path).future(b"", timeout=PATIENCE))

    assert status("/nowhere.At/All") == (grpc.StatusCode.UNIMPLEMENTED, "nothing is served here")
    assert status("/gone.Calls/Unary")[0] == grpc.StatusCode.UNAVAILABLE
    assert status("/denied.Calls/Unary") == (grpc.StatusCode.PERMISSION_DENIED, "Forbidden")
    call = channel.unary_stream("/limited.Calls/Wait")(b"gateway")
    assert next(call) == b"waiting"
    assert code(call, streams=True)[0] != grpc.StatusCode.OK


def main():
    address, what = sys.argv[1:]
    with grpc.insecure_channel(address, options=(("grpc.enable_retries", 0),)) as channel:
        if what == "refused":
            refused(channel)
        else:
            calls(channel, what)
    print("ok", what)


main()
