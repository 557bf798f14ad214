"""A Python gRPC client of the daemon, as its users would write one.

Uses only what Debian ships (python3-grpcio, python3-protobuf) and stubs that protoc makes from the repository's
protos. Each scenario prints what it saw as JSON lines; test/e2e/python.test.ts decides whether that is right.
"""

import json
import sys

import grpc
from google.protobuf import json_format, struct_pb2

import error_details_pb2
import health_pb2
import reflection_pb2
import status_pb2
from goclaw.v1 import engine_pb2, engine_pb2_grpc, run_pb2, run_service_pb2, run_service_pb2_grpc, workflow_pb2


def show(**facts):
    print(json.dumps(facts), flush=True)


def listening(run_input=None):
    """A workflow whose one agent waits for a steer signal."""
    return workflow_pb2.WorkflowSpec(
        name="from_python",
        tasks=[workflow_pb2.TaskSpec(id="ear", agent="listener")],
        input=struct_pb2.Value(string_value=run_input or ""),
    )


def event_name(event):
    return run_pb2.TaskEventType.Name(event.type).removeprefix("TASK_EVENT_TYPE_")


def is_listening(event):
    return event.type == run_pb2.TASK_EVENT_TYPE_TASK_PROGRESS


def scenario_steer(channel):
    """Submits, watches to the end, and steers the agent on the way."""
    engine = engine_pb2_grpc.GoClawEngineStub(channel)
    for event in engine.SubmitWorkflow(listening()):
        show(event=event_name(event), sequence=event.sequence, run_id=event.run_id)
        if is_listening(event):
            steering = engine_pb2.Steer(text="from python")
            steering.payload.struct_value.update({"speed": 2})
            engine.SignalTask(
                engine_pb2.SignalRequest(run_id=event.run_id, task_id="ear", signal_id="s1", steer=steering)
            )
        if event.type == run_pb2.TASK_EVENT_TYPE_RUN_COMPLETED:
            show(output=json_format.MessageToDict(event.output))
            status = engine.GetTaskStatus(run_pb2.TaskID(run_id=event.run_id, task_id="ear"))
            show(state=run_pb2.TaskState.Name(status.state), attempt=status.attempt)


def scenario_cancel(channel):
    """Starts detached, leaves a first watch half way, cancels, and reads the rest with a second watch."""
    runs = run_service_pb2_grpc.RunServiceStub(channel)
    started = runs.StartRun(
        run_service_pb2.StartRunRequest(run=run_service_pb2.RunSubmission(spec=listening(), labels={"by": "python"}))
    )
    last = 0
    watch = runs.WatchRun(run_service_pb2.WatchRunRequest(run_id=started.run_id))
    for response in watch:
        last = response.event.sequence
        if is_listening(response.event):
            watch.cancel()
            break
    runs.CancelRun(run_service_pb2.CancelRunRequest(run_id=started.run_id, reason="seen enough"))
    rest = runs.WatchRun(run_service_pb2.WatchRunRequest(run_id=started.run_id, after_sequence=last))
    events = [response.event for response in rest]
    show(last=last, rest=[event.sequence for event in events], end=event_name(events[-1]))
    listed = runs.ListRuns(run_service_pb2.ListRunsRequest(labels={"by": "python"}))
    show(listed=[run_pb2.RunState.Name(run.state) for run in listed.runs])


def scenario_bulk(channel):
    """Many runs over one bidirectional stream."""
    runs = run_service_pb2_grpc.RunServiceStub(channel)
    spec = workflow_pb2.WorkflowSpec(name="one", tasks=[workflow_pb2.TaskSpec(id="a", agent="echo")])

    def requests():
        for start in range(0, 100, 25):
            yield run_service_pb2.SubmitRunsRequest(
                runs=[
                    run_service_pb2.NumberedSubmission(
                        number=number,
                        run=run_service_pb2.RunSubmission(
                            spec=spec, input=struct_pb2.Value(number_value=number), priority=number
                        ),
                    )
                    for number in range(start, start + 25)
                ]
            )

    ended, refused = {}, []
    for batch in runs.SubmitRuns(requests()):
        for end in batch.ended:
            ended[end.number] = json_format.MessageToDict(end.output)["a"]
        refused += [refusal.number for refusal in batch.refused]
    show(ended=len(ended), right=all(number == output for number, output in ended.items()), refused=refused)


def details_of(error):
    """The google.rpc details of a failed call."""
    trailers = dict(error.trailing_metadata())
    status = status_pb2.Status.FromString(trailers["grpc-status-details-bin"])
    known = (error_details_pb2.ErrorInfo, error_details_pb2.BadRequest, error_details_pb2.RetryInfo)
    found = {}
    for detail in status.details:
        for kind in known:
            message = kind()
            if detail.Unpack(message):
                found[kind.DESCRIPTOR.name] = json_format.MessageToDict(message)
    return found


def scenario_errors(channel):
    """What refusals look like from here."""
    engine = engine_pb2_grpc.GoClawEngineStub(channel)
    runs = run_service_pb2_grpc.RunServiceStub(channel)
    unknown = run_pb2.TaskID(run_id="0" * 26, task_id="a")
    broken = workflow_pb2.WorkflowSpec(
        name="broken",
        tasks=[
            workflow_pb2.TaskSpec(id="a", agent="echo", deps=["b"]),
            workflow_pb2.TaskSpec(id="b", agent="echo", deps=["a"], timeout="soon"),
        ],
    )
    attempts = {
        "unknown": lambda: engine.GetTaskStatus(unknown),
        "broken": lambda: list(engine.SubmitWorkflow(broken)),
        "rules": lambda: runs.GetRun(run_service_pb2.GetRunRequest(run_id="short")),
        "large": lambda: engine.SubmitWorkflow(listening("x" * 5_000_000)).next(),
    }
    for name, attempt in attempts.items():
        try:
            attempt()
            show(attempt=name, code="OK")
        except grpc.RpcError as error:
            details = details_of(error) if error.code() != grpc.StatusCode.RESOURCE_EXHAUSTED else {}
            show(attempt=name, code=error.code().name, details=details)


def scenario_health(channel):
    """The standard health service, as a load balancer asks it."""
    check = channel.unary_unary(
        "/grpc.health.v1.Health/Check",
        request_serializer=health_pb2.HealthCheckRequest.SerializeToString,
        response_deserializer=health_pb2.HealthCheckResponse.FromString,
    )
    for service in ("", "goclaw.v1.GoClawEngine", "no.Such"):
        try:
            answer = check(health_pb2.HealthCheckRequest(service=service))
            show(service=service, status=health_pb2.HealthCheckResponse.ServingStatus.Name(answer.status))
        except grpc.RpcError as error:
            show(service=service, code=error.code().name)
    watch = channel.unary_stream(
        "/grpc.health.v1.Health/Watch",
        request_serializer=health_pb2.HealthCheckRequest.SerializeToString,
        response_deserializer=health_pb2.HealthCheckResponse.FromString,
    )
    call = watch(health_pb2.HealthCheckRequest())
    show(watched=health_pb2.HealthCheckResponse.ServingStatus.Name(next(call).status))
    call.cancel()


def scenario_reflection(channel):
    """Finds a method's types without any stub, through reflection alone."""
    from google.protobuf import descriptor_pb2, descriptor_pool

    ask = channel.stream_stream(
        "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
        request_serializer=reflection_pb2.ServerReflectionRequest.SerializeToString,
        response_deserializer=reflection_pb2.ServerReflectionResponse.FromString,
    )
    questions = [
        reflection_pb2.ServerReflectionRequest(list_services=""),
        reflection_pb2.ServerReflectionRequest(file_containing_symbol="goclaw.v1.GoClawEngine"),
    ]
    services, files = list(ask(iter(questions)))
    show(services=sorted(service.name for service in services.list_services_response.service))
    pool = descriptor_pool.DescriptorPool()
    protos = [
        descriptor_pb2.FileDescriptorProto.FromString(text)
        for text in files.file_descriptor_response.file_descriptor_proto
    ]
    # A file can be added once everything it imports is there.
    while protos:
        ready = [proto for proto in protos if not any(other.name in proto.dependency for other in protos)]
        for proto in ready:
            pool.Add(proto)
            protos.remove(proto)
    method = pool.FindServiceByName("goclaw.v1.GoClawEngine").FindMethodByName("SubmitWorkflow")
    show(input=method.input_type.full_name, output=method.output_type.full_name)


def main():
    address, scenario = sys.argv[1:]
    with grpc.insecure_channel(address) as channel:
        globals()[f"scenario_{scenario}"](channel)


if __name__ == "__main__":
    main()
