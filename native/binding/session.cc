#include "binding/session.h"

#include <chrono>
#include <utility>

#include "binding/arguments.h"
#include "binding/description.h"
#include "binding/js_error.h"

namespace lorikeet::binding {

namespace {

const Error kClosed{"the model is closed", ErrorKind::closed};

}  // namespace

Session::Session(Napi::Env env, ModelOptions options) : options_(std::move(options)), env_(env) {
  // After the threads: where one cannot be started, nothing has to be given back to the environment.
  loop_ = Loop::New(env, "lorikeet", 0, 1);
  loop_.Unref(env);
  // After the loop's creation: hooks run last in, first out, and the threads must end before the loop does.
  napi_add_env_cleanup_hook(env, &Session::on_environment_exit, this);
}

Session::~Session() {
  stop_threads();
  detach();
}

void Session::prepare_adapters() {
  // Without memory for the job, the next adapter takes a little longer.
  (void)guarded([this] {
    preparer_.post([this] { model_->prepare_adapters(); });
    return Status();
  });
}

void Session::stop_threads() {
  loader_.stop();  // first: it posts to the preparer
  preparer_.stop();
  stepper_.stop();
}

void Session::detach() {
  if (!std::exchange(attached_, false)) return;
  napi_remove_env_cleanup_hook(env_, &Session::on_environment_exit, this);
  loop_.Release();
}

// The environment (the process or a worker thread) ends. Calls that are still queued are freed, unsettled,
// when Node empties the loop's queue.
void Session::on_environment_exit(void* data) {
  auto* session = static_cast<Session*>(data);
  session->attached_ = false;
  session->closing_ = true;
  // Cleared only by close's settling on this thread, so it is safe to look at; the loader may still be
  // opening it.
  if (session->stepping_) session->model_->cancel();
  session->stop_threads();
}

void Session::submit(Napi::Env env, Worker& worker, std::function<void()> work,
                     std::function<void(Napi::Env)> settle) {
  auto owned = std::make_unique<Call>(Call{shared_from_this(), std::move(work), std::move(settle)});
  worker.post([this, call = owned.get()] {
    call->work();
    loop_.NonBlockingCall(call);
  });
  (void)owned.release();  // settle_call's, which runs on this thread
  if (pending_calls_++ == 0) loop_.Ref(env);
}

void Session::settle_call(Napi::Env env, Napi::Function, std::nullptr_t*, Call* call) {
  const std::unique_ptr<Call> owned(call);
  if (static_cast<napi_env>(env) == nullptr) return;  // the environment is going away
  Session& session = *call->session;
  call->settle(env);
  if (--session.pending_calls_ == 0 && session.attached_) session.loop_.Unref(env);
}

Napi::Value Session::open(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  Result<ModelOptions> options = read_open_options(env, info[0]);
  if (!options) return rejected(env, options.error());
  const std::shared_ptr<Session> session(new Session(env, std::move(*options)));
  session->preparer_.run_when_idle();
  if (session->options_.background) {
    session->loader_.run_in_background();
    session->stepper_.run_in_background();
  }
  const auto deferred = Napi::Promise::Deferred::New(env);
  const auto opened = std::make_shared<Result<std::unique_ptr<Model>>>(Error{"not run"});
  session->submit(
      env, session->loader_,
      [self = session.get(), opened] {
        *opened = Model::open(self->options_);
        if (!*opened) return;
        self->model_ = std::move(**opened);
        self->prepare_adapters();
      },
      [self = session.get(), opened, deferred](Napi::Env js) {
        if (*opened) return deferred.Resolve(self->make_object(js));
        self->stop_threads();
        deferred.Reject(js_error(js, opened->error()).Value());
        self->detach();
      });
  return deferred.Promise();
}

Napi::Object Session::make_object(Napi::Env env) {
  Napi::Object object = Napi::Object::New(env);
  object["description"] = describe(env, *model_);
  using Method = Napi::Value (Session::*)(const Napi::CallbackInfo&);
  const std::pair<const char*, Method> methods[] = {
      {"loadAdapter", &Session::load_adapter},
      {"mergeAdapter", &Session::merge_adapter},
      {"dropAdapter", &Session::drop_adapter},
      {"step", &Session::step},
      {"memory", &Session::memory},
      {"close", &Session::close},
  };
  for (const auto& [name, method] : methods) {
    object[name] = Napi::Function::New(
        env,
        [self = shared_from_this(), method = method](const Napi::CallbackInfo& info) {
          return guarded_call(info.Env(), [&] { return (self.get()->*method)(info); });
        },
        name);
  }
  return object;
}

Napi::Value Session::load_adapter(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  if (closing_) return rejected(env, kClosed);
  Result<std::vector<AdapterFile>> files = read_adapter_files(env, info[0]);
  if (!files) return rejected(env, files.error());

  const auto deferred = Napi::Promise::Deferred::New(env);
  const auto loaded = std::make_shared<Result<LoadedAdapter>>(Error{"not run"});
  submit(
      env, loader_,
      [this, files = std::move(*files), loaded] {
        *loaded = model_->load_adapters(files);
        prepare_adapters();
      },
      [loaded, deferred](Napi::Env js) {
        if (!*loaded) return deferred.Reject(js_error(js, loaded->error()).Value());
        Napi::Object object = Napi::Object::New(js);
        object["handle"] = static_cast<double>((*loaded)->handle);
        object["bytes"] = static_cast<double>((*loaded)->bytes);
        deferred.Resolve(object);
      });
  return deferred.Promise();
}

Napi::Value Session::merge_adapter(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  if (closing_) return rejected(env, kClosed);
  Arguments arguments(env, info[0], "spec");
  const std::string path = arguments.text("weightsPath");
  const Napi::Value changes = arguments.get("changes");
  int32_t vocab = 0;
  if (!arguments.get("vocabSize").IsUndefined())
    vocab = static_cast<int32_t>(arguments.integer("vocabSize", 1, INT32_MAX));
  if (arguments.error()) return rejected(env, *arguments.error());
  const std::optional<std::string> text = json_text(env, changes);
  if (!text) return rejected(env, Error{"spec.changes must be plain data"});

  const auto deferred = Napi::Promise::Deferred::New(env);
  const auto merged = std::make_shared<Status>();
  submit(
      env, stepper_,  // so no step can see half of it
      [this, path, changes_json = *text, vocab, merged] {
        *merged = model_->merge_adapter(path, changes_json, vocab);
      },
      [merged, deferred](Napi::Env js) {
        if (!*merged) return deferred.Reject(js_error(js, merged->error()).Value());
        deferred.Resolve(js.Undefined());
      });
  return deferred.Promise();
}

Napi::Value Session::drop_adapter(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  if (closing_) return thrown(env, kClosed);
  if (!info[0].IsNumber()) return thrown(env, Error{"dropAdapter needs a handle"});
  auto taken = model_->take_adapter(info[0].As<Napi::Number>().Int32Value());
  if (!taken) return thrown(env, taken.error());
  // Before the next load, and not on this thread: a driver frees memory when the running step is over.
  loader_.post([adapter = std::move(*taken)]() mutable { adapter.reset(); });
  return env.Undefined();
}

Napi::Value Session::step(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  if (closing_) return rejected(env, kClosed);
  if (stepping_) return rejected(env, Error{"a step is already running"});
  const Status read = read_step_plan(env, info[0], options_, model_->plan());
  if (!read) return rejected(env, read.error());

  struct State {
    Napi::Promise::Deferred deferred;
    Napi::ObjectReference plan;  // keeps the out arrays alive
    Status status;
    double native_ms = 0;
  };
  const auto state = std::make_shared<State>(
      State{Napi::Promise::Deferred::New(env), Napi::Persistent(info[0].As<Napi::Object>()), {}, 0});
  const Napi::Value promise = state->deferred.Promise();
  if (const Status pinned = model_->pin_step(); !pinned) return rejected(env, pinned.error());
  stepping_ = true;
  const Status submitted = guarded([&] {
    submit(
        env, stepper_,
        [this, state = state.get()] {
          const auto start = std::chrono::steady_clock::now();
          state->status = model_->run_step();
          state->native_ms =
              std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start).count();
        },
        [this, state](Napi::Env js) {
          stepping_ = false;
          Status status = std::move(state->status);
          if (status) status = write_step_results(js, state->plan.Value(), *model_);
          if (!status) return state->deferred.Reject(js_error(js, status.error()).Value());
          Napi::Object timing = Napi::Object::New(js);
          timing["native_ms"] = state->native_ms;
          state->deferred.Resolve(timing);
        });
    return Status();
  });
  if (!submitted) {
    stepping_ = false;
    model_->unpin_step();
    state->deferred.Reject(js_error(env, submitted.error()).Value());
  }
  return promise;
}

Napi::Value Session::memory(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  if (closing_) return thrown(env, kClosed);
  const MemoryUse use = model_->memory();
  Napi::Object object = Napi::Object::New(env);
  object["weightBytes"] = static_cast<double>(use.weight_bytes);
  object["kvBytes"] = static_cast<double>(use.kv_bytes);
  object["adapterBytes"] = static_cast<double>(use.adapter_bytes);
  object["scratchBytes"] = static_cast<double>(use.scratch_bytes);
  return object;
}

Napi::Value Session::close(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  const auto deferred = Napi::Promise::Deferred::New(env);
  if (!attached_) {
    deferred.Resolve(env.Undefined());
    return deferred.Promise();
  }
  closing_ = true;
  // Behind every load on the loader's queue, then behind the running step. The model is freed when this
  // settles: a step that ended just before settles first and still reads its results.
  submit(
      env, loader_, [this] { stepper_.run([] {}); },
      [this, deferred](Napi::Env js) {
        stop_threads();
        model_.reset();
        deferred.Resolve(js.Undefined());
        detach();
      });
  return deferred.Promise();
}

}  // namespace lorikeet::binding
