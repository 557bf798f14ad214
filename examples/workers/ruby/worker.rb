# A GoClaw worker made of generated stubs and nothing else; README.md says how to run it.
#
# The main thread owns all state and takes one step after the other from its inbox: a message was received, an attempt has
# ended, somebody wants to stop this. Other threads read the stream, run the attempts, and send what is put into `@out`.
require "goclaw/v1/worker_service_services_pb"
require "json"
require "securerandom"

PB = Goclaw::V1
SERVER = ENV.fetch("GOCLAW_SERVER", "http://127.0.0.1:7420").delete_prefix("http://")
NAMES = ENV.fetch("GOCLAW_AGENTS", "ruby.echo,ruby.sleep,ruby.fail").split(",")
SLOTS = 64
FINAL = [GRPC::InvalidArgument, GRPC::FailedPrecondition, GRPC::Unimplemented].freeze

# How an agent fails; whatever else it raises is tried again.
class Failure < StandardError
  attr_reader :kind

  def initialize(kind) = @kind = kind
end

# What an agent sees of its attempt.
class Attempt
  def initialize
    @lock = Mutex.new
    @told = ConditionVariable.new
  end

  def stop = @lock.synchronize { @is_stopped = true and @told.broadcast }

  # Sleeps, and tells whether the attempt is to stop.
  def stopped_within?(seconds) = @lock.synchronize { @is_stopped || (@told.wait(@lock, seconds) && @is_stopped) }
end

# An agent `ruby.echo` does what stands here under `echo`.
AGENTS = {
  "echo" => ->(value, _) { value },
  "sleep" => lambda do |value, attempt|
    raise Failure.new(:CANCELLED), "stopped as asked" if attempt.stopped_within?(value["ms"] / 1000.0)
    { ms: value["ms"] }
  end,
  "fail" => ->(value, _) { raise Failure.new(value["class"].upcase), value["message"] },
}.freeze

def now = Process.clock_gettime(Process::CLOCK_MONOTONIC)

class Worker
  def initialize
    @inbox = Queue.new
    @running = {} # By lease: its attempt.
    @results = {} # By lease: what to say about its end, kept until its verdict.
    @instance, @pause = SecureRandom.uuid, 0.0
  end

  def run
    %w[TERM INT].each { |name| trap(name) { @inbox << method(:drain) } }
    Thread.new { loop { sleep(0.05) and @inbox << method(:watch) } }
    longest = 0.1
    until done?
      sleep(@pause + rand * longest)
      serve
      longest = @is_welcome ? 0.1 : [5, 2 * longest].min
    end
  end

  def done? = @is_draining && leases.empty?
  def leases = [*@running.keys, *@results.keys]

  # Opens a stream and takes steps until it has ended.
  def serve
    @out = out = Queue.new
    @is_welcome, @pause, @heard, @patience = false, 0.0, now, 15.0
    @out << PB::WorkerMessage.new(hello: hello)
    outgoing = Enumerator.produce { out.pop or raise StopIteration }
    @call = PB::WorkerService::Stub.new(SERVER, :this_channel_is_insecure).open_session(outgoing, return_op: true)
    Thread.new { read(@call) }
    while (step = @inbox.pop)
      step.call
    end
  end

  def read(call)
    call.execute.each { |message| @inbox << -> { receive(message) } }
  rescue GRPC::BadStatus => e
    @inbox << -> { abort("refused: #{e.details}") if !@is_welcome && FINAL.include?(e.class) }
  ensure
    @inbox << nil
  end

  # Ends this side of the stream when the other has ended or there is nothing left to do, and the whole when nothing is
  # heard for too long: HTTP/2's own pings say nothing about the engine.
  def watch
    @out << nil if @call.status || done?
    @patience = 1.0 if done?
    @call.cancel if now - @heard > @patience
  end

  def hello
    PB::Hello.new(protocol_version: 1, capabilities: ["raw-values"], name: "ruby", instance_id: @instance,
                  agents: NAMES.filter_map { |name| PB::WorkerAgent.new(name: name) if AGENTS.key?(name.split(".").last) },
                  capacity: PB::Capacity.new(slots: { "default" => @is_draining ? 0 : SLOTS }),
                  resume: @token && PB::Resume.new(token: @token, leases: leases))
  end

  # Without a Welcome nothing is said, nor lost: the Hello lists leases, and after the Welcome results are said again.
  def say(**fields)
    @out << PB::WorkerMessage.new(**fields) if @is_welcome
  end

  def receive(message)
    @heard = now
    welcome(message.welcome) if message.welcome
    message.assigns.each { |assign| start(assign, assign.lease.lease_id) }
    say(beat: PB::Beat.new(nonce: message.probe.nonce, leases: leases)) if message.probe
    message.cancels.each { |cancel| @running[cancel.lease_id]&.stop }
    [*message.drops, *message.welcome&.dropped].each { |lease| @running.delete(lease)&.stop }
    message.verdicts.each { |verdict| @results.delete(verdict.lease_id) }
    @pause = message.go_away.reconnect_after_ms / 1000.0 if message.go_away
  end

  def welcome(welcome)
    @is_welcome, @token, @largest = true, welcome.resume_token, welcome.max_payload_bytes
    @patience = welcome.silence_limit_ms / 1000.0
    @results.each_value { |result| say(**result) }
    drain if @is_draining
  end

  def start(assign, lease)
    say(acks: [lease])
    return if leases.include?(lease)
    attempt = @running[lease] = Attempt.new
    Thread.new { work(assign, lease, attempt).then { |result| @inbox << -> { finish(lease, result) } } }
  end

  # What to say about the end of an attempt.
  def work(assign, lease, attempt)
    value = JSON.parse(assign.input_data ? assign.input_data.data : assign.input.to_json)
    output = JSON.generate(AGENTS.fetch(assign.agent.split(".").last).call(value, attempt))
    raise Failure.new(:INVALID), "an output of #{output.bytesize} bytes is too large" if output.bytesize > @largest
    data = PB::Data.new(media_type: "application/json", data: output.b)
    { completes: [PB::Complete.new(lease_id: lease, output_data: data)] }
  rescue StandardError => e
    kind = e.is_a?(Failure) ? e.kind : :RETRYABLE
    { fails: [PB::Fail.new(lease_id: lease, class: :"FAILURE_CLASS_#{kind}", message: e.message[0, 10_000])] }
  end

  # Nobody wants to know how a dropped lease failed, but its output is stored as a late one.
  def finish(lease, result)
    return unless @running.delete(lease) || result.key?(:completes)
    @results[lease] = result
    say(**result)
  end

  def drain
    @is_draining = true
    say(drain: PB::Drain.new)
  end
end

Worker.new.run
