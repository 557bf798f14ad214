"""A GoClaw worker made of generated stubs and nothing else; README.md says how to run it.

The main thread owns all state and takes one step after the other from its inbox: a message was received, an attempt has
ended, somebody wants to stop this. Other threads read the stream, run the attempts, and send what is put into `out`.
"""

import contextlib, json, os, queue, random, signal, sys, threading, time, uuid
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import grpc
from google.protobuf import json_format
from goclaw.v1 import worker_service_pb2 as pb, worker_service_pb2_grpc as rpc, workflow_pb2

SERVER = os.environ.get("GOCLAW_SERVER", "http://127.0.0.1:7420").removeprefix("http://")
NAMES = os.environ.get("GOCLAW_AGENTS", "python.echo,python.sleep,python.fail").split(",")
SLOTS = 64
FINAL = {grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.FAILED_PRECONDITION, grpc.StatusCode.UNIMPLEMENTED}


class Failure(Exception):
    """Has a message and a class; whatever else an agent raises is tried again."""


def sleep(value, stopped):
    if stopped.wait(value["ms"] / 1000):
        raise Failure("stopped as asked", "CANCELLED")
    return {"ms": value["ms"]}


def fail(value, stopped):
    raise Failure(value["message"], value["class"].upper())


# An agent `python.echo` does what stands here under `echo`. `stopped` is an event: set when the attempt is to stop.
AGENTS = {"echo": lambda value, stopped: value, "sleep": sleep, "fail": fail}


class Worker:
    def __init__(self):
        self.inbox = queue.SimpleQueue()
        self.running = {}  # By lease: the event that stops the attempt.
        self.results = {}  # By lease: what to say about its end, kept until its verdict.
        self.pool = ThreadPoolExecutor(SLOTS)
        self.instance, self.token, self.pause, self.is_draining = str(uuid.uuid4()), "", 0, False

    def run(self):
        for number in signal.SIGTERM, signal.SIGINT:
            signal.signal(number, lambda *_: self.inbox.put(self.drain))
        longest = 0.1
        while not self.is_done():
            time.sleep(self.pause + random.uniform(0, longest))
            self.serve()
            longest = 0.1 if self.is_welcome else min(5, 2 * longest)

    def is_done(self):
        return self.is_draining and not self.leases()

    def leases(self):
        return [*self.running, *self.results]

    def serve(self):
        """Opens a stream and takes steps until it has ended."""
        self.out, self.reply, self.is_welcome, self.pause = queue.SimpleQueue(), pb.WorkerMessage(), False, 0
        self.heard, self.patience = time.monotonic(), 15
        self.out.put(pb.WorkerMessage(hello=self.hello()))
        with grpc.insecure_channel(SERVER) as channel:
            call = rpc.WorkerServiceStub(channel).OpenSession(iter(self.out.get, None))
            threading.Thread(target=self.read, args=[call], daemon=True).start()
            while step := self.next_step(call):
                step()
                if self.inbox.empty():
                    self.flush()  # What is said at once leaves as one message.
                if self.is_done():
                    self.out.put(None)  # Ends this side. The engine then ends its own, or is not waited for.
                    self.patience = 1
            if not self.is_welcome and call.code() in FINAL:
                sys.exit(f"refused: {call.details()}")
        self.out.put(None)

    def read(self, call):
        with contextlib.suppress(grpc.RpcError):
            for message in call:
                self.inbox.put(partial(self.receive, message))
        self.inbox.put(None)

    def next_step(self, call):
        """None when the stream has ended. HTTP/2's own pings say nothing about the engine, so silence ends it."""
        try:
            return self.inbox.get(timeout=max(0, self.heard + self.patience - time.monotonic()))
        except queue.Empty:
            call.cancel()
            return self.inbox.get()

    def hello(self):
        agents = [pb.WorkerAgent(name=name) for name in NAMES if name.split(".")[-1] in AGENTS]
        capacity = pb.Capacity(slots={"default": 0 if self.is_draining else SLOTS})
        resume = pb.Resume(token=self.token, leases=self.leases()) if self.token else None
        rest = {"agents": agents, "capacity": capacity, "resume": resume, "capabilities": ["raw-values"]}
        return pb.Hello(protocol_version=1, name="python", instance_id=self.instance, **rest)

    def say(self, **fields):
        """Before a Welcome nothing is said, nor lost: results are kept and said after it."""
        if self.is_welcome:
            self.reply.MergeFrom(pb.WorkerMessage(**fields))
        if self.reply.ByteSize() > 64 * 1024 or "beat" in fields:
            self.flush()

    def flush(self):
        if self.reply.ByteSize() > 0:
            self.out.put(self.reply)
            self.reply = pb.WorkerMessage()

    def receive(self, message):
        self.heard = time.monotonic()
        if message.HasField("welcome"):
            self.welcome(message.welcome)
        for assign in message.assigns:
            self.start(assign, assign.lease.lease_id)
        if message.HasField("probe"):
            self.say(beat=pb.Beat(nonce=message.probe.nonce, leases=self.leases()))
        for cancel in message.cancels:
            self.running.get(cancel.lease_id, threading.Event()).set()
        for lease in [*message.drops, *message.welcome.dropped]:
            self.running.pop(lease, threading.Event()).set()
        for verdict in message.verdicts:
            self.results.pop(verdict.lease_id, None)
        self.pause = message.go_away.reconnect_after_ms / 1000 or self.pause

    def welcome(self, welcome):
        self.is_welcome, self.token, self.largest = True, welcome.resume_token, welcome.max_payload_bytes
        self.patience = welcome.silence_limit_ms / 1000
        for result in self.results.values():
            self.say(**result)
        if self.is_draining:
            self.drain()

    def start(self, assign, lease):
        self.say(acks=[lease])
        if lease not in self.leases():
            self.running[lease] = threading.Event()
            self.pool.submit(self.work, assign, lease, self.running[lease])

    def work(self, assign, lease, stopped):
        try:
            value = json.loads(assign.input_data.data or json_format.MessageToJson(assign.input))
            output = json.dumps(AGENTS[assign.agent.split(".")[-1]](value, stopped)).encode()
            if len(output) > self.largest:
                raise Failure(f"an output of {len(output)} bytes is too large", "INVALID")
            data = workflow_pb2.Data(media_type="application/json", data=output)
            result = {"completes": [pb.Complete(lease_id=lease, output_data=data)]}
        except Exception as error:
            message, kind = error.args if isinstance(error, Failure) else (str(error), "RETRYABLE")
            failure = {"class": f"FAILURE_CLASS_{kind}", "message": message[:10_000]}
            result = {"fails": [pb.Fail(lease_id=lease, **failure)]}
        self.inbox.put(partial(self.end, lease, result))

    def end(self, lease, result):
        # Nobody wants to know how a dropped lease failed, but its output is stored as a late one.
        if self.running.pop(lease, None) or "completes" in result:
            self.results[lease] = result
            self.say(**result)

    def drain(self):
        self.is_draining = True
        self.say(drain=pb.Drain())


Worker().run()
