"""A GoClaw worker made of generated stubs and nothing else; README.md says how to run it.

The main thread opens streams and reads them, so probes are answered while agents run. gRPC's own thread sends what
`outgoing` yields, and every attempt runs in a thread of the pool. All state is behind one lock.
"""

import collections, json, os, random, signal, sys, threading, time, uuid
from concurrent.futures import ThreadPoolExecutor

import grpc
from google.protobuf import json_format
from goclaw.v1 import worker_service_pb2 as pb, worker_service_pb2_grpc as rpc, workflow_pb2

SERVER = os.environ.get("GOCLAW_SERVER", "http://127.0.0.1:7420").removeprefix("http://")
NAMES = os.environ.get("GOCLAW_AGENTS", "python.echo,python.sleep,python.fail").split(",")
SLOTS = 64
FINAL = {grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.FAILED_PRECONDITION, grpc.StatusCode.UNIMPLEMENTED}


class Failure(Exception):
    def __init__(self, message, kind="RETRYABLE"):
        super().__init__(message)
        self.kind = pb.FailureClass.Value("FAILURE_CLASS_" + kind)


def echo(value, stopped):
    return value


def sleep(value, stopped):
    if stopped.wait(value["ms"] / 1000):
        raise Failure("stopped as asked", "CANCELLED")
    return {"ms": value["ms"]}


def fail(value, stopped):
    raise Failure(value["message"], value["class"].upper())


# An agent `python.echo` does what stands here under `echo`. `stopped` is an event: set when the attempt is to stop.
AGENTS = {"echo": echo, "sleep": sleep, "fail": fail}


class Attempt:
    """A lease, from its Assign to its Verdict. `result` is what to say about its end, once it has ended."""

    def __init__(self):
        self.stopped, self.is_dropped, self.result = threading.Event(), False, None


class Stream:
    """One stream. `out` holds messages that are to leave; before the Welcome there is none."""

    def __init__(self):
        self.out, self.size, self.is_over, self.pause = None, 0, False, 0.0
        self.heard, self.patience = time.monotonic(), 15.0


class Worker:
    def __init__(self):
        self.lock, self.held, self.stream = threading.Condition(), {}, Stream()
        self.instance, self.token, self.is_draining = str(uuid.uuid4()), None, False
        self.pool = ThreadPoolExecutor(SLOTS)

    def is_done(self):
        return self.is_draining and not self.held

    def run(self):
        failures = 0
        while not self.is_done():
            stream = self.session()
            failures = failures + 1 if stream.out is None else 0
            if not self.is_done():
                time.sleep(stream.pause + random.uniform(0, min(5, 0.1 * 2 ** min(failures, 9))))

    def session(self):
        with self.lock:
            self.stream = stream = Stream()
        with grpc.insecure_channel(SERVER) as channel:
            call = rpc.WorkerServiceStub(channel).OpenSession(self.outgoing(stream))
            threading.Thread(target=self.watch, args=[stream, call], daemon=True).start()
            try:
                for message in call:
                    stream.heard = time.monotonic()
                    with self.lock:
                        self.receive(stream, message)
                        self.lock.notify_all()
            except grpc.RpcError as error:
                if stream.out is None and error.code() in FINAL:
                    sys.exit(f"refused: {error.details()}")
            with self.lock:
                stream.is_over = True
                self.lock.notify_all()
        return stream

    def watch(self, stream, call):
        """Cuts a stream on which nothing is heard. HTTP/2's own pings say nothing about the engine."""
        while not stream.is_over:
            time.sleep(stream.patience / 10)
            if time.monotonic() - stream.heard > stream.patience:
                call.cancel()

    def outgoing(self, stream):
        capacity = pb.Capacity(slots={"default": 0 if self.is_draining else SLOTS})
        agents = [pb.WorkerAgent(name=name) for name in NAMES]
        hello = pb.Hello(protocol_version=1, capabilities=["raw-values"], name="python", agents=agents, capacity=capacity)
        hello.instance_id = self.instance
        if self.token is not None:
            hello.resume.CopyFrom(pb.Resume(token=self.token, leases=self.leases()))
        yield pb.WorkerMessage(hello=hello)
        while True:
            with self.lock:
                self.lock.wait_for(lambda: stream.out or stream.is_over or self.is_done())
                if stream.is_over or not stream.out:
                    stream.patience = 1.0  # Now the engine ends its side; if it does not, this one is cut.
                    return
                message = stream.out.popleft()
            yield message

    def say(self, **fields):
        """Adds to the message that leaves next. Without a Welcome it is lost: results are kept and said again."""
        stream, part = self.stream, pb.WorkerMessage(**fields)
        if stream.out is None:
            return
        if not stream.out or stream.size + part.ByteSize() > stream.budget:
            stream.out.append(pb.WorkerMessage())
            stream.size = 0
        stream.out[-1].MergeFrom(part)
        stream.size += part.ByteSize()
        self.lock.notify_all()

    def leases(self):
        return [lease for lease, attempt in self.held.items() if attempt.result or not attempt.is_dropped]

    def receive(self, stream, message):
        if message.HasField("welcome"):
            self.welcome(stream, message.welcome)
        for assign in message.assigns:
            lease = assign.lease.lease_id
            self.say(acks=[lease])
            if lease not in self.held:
                self.held[lease] = Attempt()
                self.pool.submit(self.work, assign, self.held[lease])
        if message.HasField("probe"):
            stream.out.append(pb.WorkerMessage(beat=pb.Beat(nonce=message.probe.nonce, leases=self.leases())))
        for lease in [cancel.lease_id for cancel in message.cancels]:
            if lease in self.held:
                self.held[lease].stopped.set()
        for lease in [*message.drops, *message.welcome.dropped]:
            if lease in self.held:
                self.held[lease].is_dropped = True
                self.held[lease].stopped.set()
        for lease in [verdict.lease_id for verdict in message.verdicts]:
            if lease in self.held and self.held[lease].result:
                del self.held[lease]
        stream.pause = message.go_away.reconnect_after_ms / 1000 or stream.pause

    def welcome(self, stream, welcome):
        self.token, self.largest = welcome.resume_token, welcome.max_payload_bytes
        stream.out, stream.budget = collections.deque(), min(512 * 1024, welcome.max_message_bytes // 2)
        stream.patience = welcome.silence_limit_ms / 1000
        for attempt in self.held.values():
            if attempt.result:
                self.say(**attempt.result)
        if self.is_draining:
            self.say(drain=pb.Drain())

    def work(self, assign, attempt):
        lease = assign.lease.lease_id
        try:
            agent = AGENTS.get(assign.agent.split(".")[-1])
            if agent is None:
                raise Failure(f"no agent {assign.agent} here")
            is_raw = assign.HasField("input_data")
            value = json.loads(assign.input_data.data) if is_raw else json_format.MessageToDict(assign.input)
            output = json.dumps(agent(value, attempt.stopped)).encode()
            if len(output) > self.largest:
                raise Failure(f"an output of {len(output)} bytes is too large", "INVALID")
            data = workflow_pb2.Data(media_type="application/json", data=output)
            result = {"completes": [pb.Complete(lease_id=lease, output_data=data)]}
        except Exception as error:
            kind = getattr(error, "kind", pb.FAILURE_CLASS_RETRYABLE)
            result = {"fails": [pb.Fail(lease_id=lease, message=str(error)[:10_000], **{"class": kind})]}
        with self.lock:
            if attempt.is_dropped and "fails" in result:
                del self.held[lease]  # Nobody wants to know; an output is still sent, and kept as a late one.
            else:
                attempt.result = result
                self.say(**result)
            self.lock.notify_all()

    def drain(self, *_):
        with self.lock:
            self.is_draining = True
            self.say(drain=pb.Drain())
            self.lock.notify_all()


worker = Worker()
signal.signal(signal.SIGTERM, worker.drain)
signal.signal(signal.SIGINT, worker.drain)
worker.run()
