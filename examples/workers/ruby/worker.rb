# A GoClaw worker made of generated stubs and nothing else; README.md says how to run it.
#
# The main thread opens streams and reads them, so probes are answered while agents run. gRPC's own thread sends what
# `outgoing` yields, and every attempt has a thread. All state is behind one lock.
require "goclaw/v1/worker_service_services_pb"
require "json"
require "monitor"
require "securerandom"

PB = Goclaw::V1
SERVER = ENV.fetch("GOCLAW_SERVER", "http://127.0.0.1:7420").delete_prefix("http://")
NAMES = ENV.fetch("GOCLAW_AGENTS", "ruby.echo,ruby.sleep,ruby.fail").split(",")
SLOTS = 64
FINAL = [GRPC::InvalidArgument, GRPC::FailedPrecondition, GRPC::Unimplemented].freeze

# How an agent fails; whatever else it raises is tried again.
class Failure < StandardError
  attr_reader :kind

  def initialize(message, kind)
    super(message)
    @kind = kind
  end
end

# A lease, from its Assign to its Verdict. `result` is what to say about its end, once it has ended.
class Attempt
  attr_accessor :result, :is_dropped

  def initialize
    @lock = Monitor.new
    @stopped = @lock.new_cond
  end

  def stop = @lock.synchronize { @is_stopped = true and @stopped.broadcast }

  # Sleeps, and tells whether the attempt is to stop.
  def stopped_within?(seconds) = @lock.synchronize { @is_stopped || @stopped.wait(seconds) && @is_stopped }
end

# An agent `ruby.echo` does what stands here under `echo`.
AGENTS = {
  "echo" => ->(value, _) { value },
  "sleep" => lambda do |value, attempt|
    raise Failure.new("stopped as asked", :CANCELLED) if attempt.stopped_within?(value["ms"] / 1000.0)
    { ms: value["ms"] }
  end,
  "fail" => ->(value, _) { raise Failure.new(value["message"], value["class"].upcase) },
}.freeze

# One stream. `out` holds messages that are to leave; before the Welcome there is none.
Stream = Struct.new(:out, :bytes, :budget, :heard, :patience, :pause, :is_over, :call)

def now = Process.clock_gettime(Process::CLOCK_MONOTONIC)

class Worker
  def initialize
    @lock = Monitor.new
    @changed = @lock.new_cond
    @held = {}
    @instance = SecureRandom.uuid
  end

  def run
    failures = 0
    until done?
      stream = session
      failures = stream.out ? 0 : failures + 1
      sleep(stream.pause + rand * [5, 0.1 * 2**failures].min) unless done?
    end
  end

  def drain = @lock.synchronize { @is_draining = true and say(drain: PB::Drain.new) }

  private

  def done? = @is_draining && @held.empty?

  def session
    @stream = stream = Stream.new(nil, 0, 0, now, 15.0, 0.0, false)
    stub = PB::WorkerService::Stub.new(SERVER, :this_channel_is_insecure)
    stream.call = stub.open_session(enum_for(:outgoing, stream), return_op: true)
    Thread.new { watch(stream) }
    begin
      stream.call.execute.each do |message|
        stream.heard = now
        @lock.synchronize { receive(stream, message) and @changed.broadcast }
      end
    rescue GRPC::BadStatus => e
      abort("refused: #{e.details}") if stream.out.nil? && FINAL.include?(e.class)
    end
    @lock.synchronize { stream.is_over = true and @changed.broadcast }
    stream
  end

  # Cuts a stream on which nothing is heard. HTTP/2's own pings say nothing about the engine.
  def watch(stream)
    until stream.is_over
      sleep(stream.patience / 10)
      stream.call.cancel if now - stream.heard > stream.patience
    end
  end

  def outgoing(stream)
    yield PB::WorkerMessage.new(hello: hello)
    loop do
      message = @lock.synchronize do
        # When the engine ends the stream, gRPC waits for this to end before it tells anybody: hence the short waits.
        @changed.wait(0.05) until stream.out&.any? || stream.is_over || stream.call.status || done?
        stream.out&.shift unless stream.is_over || stream.call.status
      end
      break if message.nil?
      yield message
    end
    stream.patience = 1.0 # Now the engine ends its side; if it does not, this one is cut.
  end

  def hello
    @lock.synchronize do
      resume = @token && PB::Resume.new(token: @token, leases: leases)
      PB::Hello.new(protocol_version: 1, capabilities: ["raw-values"], name: "ruby", instance_id: @instance,
                    agents: NAMES.map { |name| PB::WorkerAgent.new(name: name) }, resume: resume,
                    capacity: PB::Capacity.new(slots: { "default" => @is_draining ? 0 : SLOTS }))
    end
  end

  # Adds to the message that leaves next. Without a Welcome it is lost: results are kept and said again.
  def say(size = 100, **fields)
    stream = @stream
    return if stream.out.nil?
    if stream.out.empty? || stream.bytes + size > stream.budget
      stream.out << PB::WorkerMessage.new
      stream.bytes = 0
    end
    stream.bytes += size
    fields.each { |name, value| value.is_a?(Array) ? stream.out.last[name.to_s].push(*value) : stream.out.last[name.to_s] = value }
    @changed.broadcast
  end

  def leases = @held.filter_map { |lease, attempt| lease if attempt.result || !attempt.is_dropped }

  def receive(stream, message)
    welcome(stream, message.welcome) if message.welcome
    message.assigns.each { |assign| take(assign, assign.lease.lease_id) }
    stream.out << PB::WorkerMessage.new(beat: PB::Beat.new(nonce: message.probe.nonce, leases: leases)) if message.probe
    message.cancels.each { |cancel| @held[cancel.lease_id]&.stop }
    [*message.drops, *message.welcome&.dropped].filter_map { |lease| @held[lease] }.each do |attempt|
      attempt.is_dropped = true
      attempt.stop
    end
    message.verdicts.each { |verdict| @held.delete(verdict.lease_id) if @held[verdict.lease_id]&.result }
    stream.pause = message.go_away.reconnect_after_ms / 1000.0 if message.go_away
    true
  end

  def welcome(stream, welcome)
    @token = welcome.resume_token
    @largest = welcome.max_payload_bytes
    stream.budget = [512 * 1024, welcome.max_message_bytes / 2].min
    stream.patience = welcome.silence_limit_ms / 1000.0
    stream.out = []
    @held.each_value { |attempt| say(*attempt.result[0..0], **attempt.result[1]) if attempt.result }
    say(drain: PB::Drain.new) if @is_draining
  end

  def take(assign, lease)
    say(acks: [lease])
    return if @held.key?(lease)
    attempt = @held[lease] = Attempt.new
    Thread.new { finish(lease, attempt, *outcome(assign, attempt)) }
  end

  # The size and the fields of what to say about the end of an attempt.
  def outcome(assign, attempt)
    lease = assign.lease.lease_id
    agent = AGENTS.fetch(assign.agent.split(".").last) { raise "no agent #{assign.agent} here" }
    value = JSON.parse(assign.input_data ? assign.input_data.data : assign.input.to_json)
    output = JSON.generate(agent.call(value, attempt))
    raise Failure.new("an output of #{output.bytesize} bytes is too large", :INVALID) if output.bytesize > @largest
    data = PB::Data.new(media_type: "application/json", data: output.b)
    [output.bytesize + 200, { completes: [PB::Complete.new(lease_id: lease, output_data: data)] }]
  rescue StandardError => e
    kind = e.is_a?(Failure) ? e.kind : :RETRYABLE
    failure = PB::Fail.new(lease_id: lease, class: :"FAILURE_CLASS_#{kind}", message: e.message[0, 10_000])
    [e.message.bytesize + 200, { fails: [failure] }]
  end

  def finish(lease, attempt, size, fields)
    @lock.synchronize do
      # Nobody wants to know of a lost lease's failure; an output is still sent, and kept as a late one.
      next @held.delete(lease) if attempt.is_dropped && fields.key?(:fails)
      attempt.result = [size, fields]
      say(size, **fields)
    end
  ensure
    @lock.synchronize { @changed.broadcast }
  end
end

worker = Worker.new
%w[TERM INT].each { |name| trap(name) { Thread.new { worker.drain } } }
worker.run
