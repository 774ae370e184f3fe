// Streams, events, capture.
#include <algorithm>
#include <chrono>
#include <set>

#include "simulator/driver/call.h"
#include "simulator/driver/handles.h"

namespace lorikeet::simulator {

namespace {

constexpr unsigned kNonBlocking = 1;

double now_ms() {
  return std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

// Programs that ask again and again get on: what they asked for runs, and the next answer says so.
Result query(Call& call, const StreamPoint& point, bool& told) {
  if (point.stream->is_done(point.position)) return kSuccess;
  const bool first = !told;
  told = true;
  const Result result = point.stream->run_to(point.position);
  if (result != kSuccess) return call.on().error();
  return !first && point.stream->is_done(point.position) ? kSuccess : kNotReady;
}

void join(Stream& stream, const Event& event) {
  stream.capture = event.capture;
  for (GraphNode* node : event.capture_after) {
    if (std::find(stream.capture_after.begin(), stream.capture_after.end(), node) ==
        stream.capture_after.end()) {
      stream.capture_after.push_back(node);
    }
  }
}

Result record(Call& call, Event& event, const std::shared_ptr<Stream>& stream) {
  if (stream->capture) {
    event.capture = stream->capture;
    event.capture_after = stream->capture_after;
    return kSuccess;
  }
  event.capture.reset();
  event.milliseconds = std::make_shared<double>(-1);
  GraphNode node;
  node.run = [at = event.milliseconds] {
    *at = now_ms();
    return kSuccess;
  };
  const Result result = call.on().submit(stream, std::move(node));
  event.point = {stream, stream->end()};
  event.recorded = true;
  event.told_not_ready = false;
  return result;
}

// All that the streams of the capture did has to come before its end.
bool is_joined(const Graph& graph, const Stream& origin) {
  std::set<const GraphNode*> reached;
  std::vector<const GraphNode*> open(origin.capture_after.begin(), origin.capture_after.end());
  while (!open.empty()) {
    const GraphNode* const node = open.back();
    open.pop_back();
    if (!reached.insert(node).second) continue;
    open.insert(open.end(), node->after.begin(), node->after.end());
  }
  return reached.size() == graph.nodes().size();
}

}  // namespace

SIMULATOR_API int cuStreamCreateWithPriority(StreamHandle** stream, unsigned flags, int) {
  return guarded([&](Call& call) {
    *stream = handle_of(new StreamBox{call.on().add_stream((flags & kNonBlocking) == 0)});
    return kSuccess;
  });
}

SIMULATOR_API int cuStreamCreate(StreamHandle** stream, unsigned flags) {
  return cuStreamCreateWithPriority(stream, flags, 0);
}

SIMULATOR_API int cuStreamDestroy_v2(StreamHandle* stream) {
  return guarded([&](Call& call) {
    auto* const box = reinterpret_cast<StreamBox*>(stream);
    call.on().remove_stream(box->stream);
    delete box;
    return kSuccess;
  });
}

SIMULATOR_API int cuStreamSynchronize(StreamHandle* handle) {
  return guarded([&](Call& call) {
    const auto stream = call.on().stream_of(handle);
    if (stream->capture) return kCaptureUnsupported;
    return call.on().wait_for({stream, stream->end()}, call.lock());
  });
}

SIMULATOR_API int cuStreamQuery(StreamHandle* handle) {
  return guarded([&](Call& call) {
    const auto stream = call.on().stream_of(handle);
    if (stream->capture) return kCaptureUnsupported;
    bool told = false;
    return query(call, {stream, stream->end()}, told);
  });
}

SIMULATOR_API int cuStreamWaitEvent(StreamHandle* handle, EventHandle* event_handle, unsigned) {
  return guarded([&](Call& call) {
    const auto stream = call.on().stream_of(handle);
    const Event& event = event_of(event_handle);
    if (event.capture) {
      if (stream->capture && stream->capture != event.capture) return kCaptureIsolation;
      join(*stream, event);
      return kSuccess;
    }
    if (stream->capture) return kCaptureIsolation;
    if (!event.recorded) return kSuccess;
    stream->push({[] { return kSuccess; }, {event.point}});
    return kSuccess;
  });
}

SIMULATOR_API int cuEventCreate(EventHandle** event, unsigned) {
  return guarded([&](Call&) {
    *event = handle_of(new Event);
    return kSuccess;
  });
}

SIMULATOR_API int cuEventDestroy_v2(EventHandle* event) {
  return guarded([&](Call&) {
    delete &event_of(event);
    return kSuccess;
  });
}

SIMULATOR_API int cuEventRecord(EventHandle* event, StreamHandle* stream) {
  return guarded([&](Call& call) { return record(call, event_of(event), call.on().stream_of(stream)); });
}

SIMULATOR_API int cuEventSynchronize(EventHandle* handle) {
  return guarded([&](Call& call) {
    const Event& event = event_of(handle);
    if (event.capture) return kCaptureUnsupported;
    return event.recorded ? call.on().wait_for(event.point, call.lock()) : kSuccess;
  });
}

SIMULATOR_API int cuEventQuery(EventHandle* handle) {
  return guarded([&](Call& call) {
    Event& event = event_of(handle);
    if (event.capture) return kCaptureUnsupported;
    return event.recorded ? query(call, event.point, event.told_not_ready) : kSuccess;
  });
}

SIMULATOR_API int cuEventElapsedTime(float* milliseconds, EventHandle* from, EventHandle* to) {
  return guarded([&](Call&) {
    const Event &first = event_of(from), &second = event_of(to);
    if (!first.recorded || !second.recorded) return kInvalidHandle;
    if (*first.milliseconds < 0 || *second.milliseconds < 0) return kNotReady;
    *milliseconds = static_cast<float>(*second.milliseconds - *first.milliseconds);
    return kSuccess;
  });
}

SIMULATOR_API int cuStreamBeginCapture_v2(StreamHandle* handle, int) {
  return guarded([&](Call& call) {
    const auto stream = call.on().stream_of(handle);
    if (stream == call.on().stream_of(nullptr)) return kCaptureUnsupported;
    if (stream->capture) return kInvalidValue;
    stream->capture = std::make_shared<Graph>();
    stream->began_capture = true;
    stream->capture_after.clear();
    return kSuccess;
  });
}

SIMULATOR_API int cuStreamIsCapturing(StreamHandle* handle, int* status) {
  return guarded([&](Call& call) {
    *status = call.on().stream_of(handle)->capture ? 1 : 0;
    return kSuccess;
  });
}

SIMULATOR_API int cuStreamEndCapture(StreamHandle* handle, GraphHandle** graph) {
  return guarded([&](Call& call) {
    const auto stream = call.on().stream_of(handle);
    *graph = nullptr;
    if (!stream->capture) return kInvalidValue;
    if (!stream->began_capture) return kCaptureUnmatched;
    const auto captured = stream->capture;
    const bool joined = is_joined(*captured, *stream);
    call.on().end_capture(captured);
    if (!joined) return kCaptureUnjoined;
    *graph = handle_of(new GraphBox{captured});
    return kSuccess;
  });
}

}  // namespace lorikeet::simulator
