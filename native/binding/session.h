// An opened model as JavaScript holds it: its threads, and the way back to the event loop.
//
// Threads: the JavaScript thread owns every field except where noted. The loader thread opens the model and
// loads adapters, the step thread runs steps, the preparing thread sees between loads to what makes the next
// one quicker, while nobody else wants its core; they only run a Call's `work` and hand the Call back, so
// whatever a Call captures (promises, references to JavaScript objects) is made and freed on the JavaScript
// thread.
#pragma once

#include <napi.h>

#include <functional>
#include <memory>

#include "binding/worker.h"
#include "model/model.h"

namespace lorikeet::binding {

class Session : public std::enable_shared_from_this<Session> {
 public:
  // napi: `open(options): Promise<NativeModel>`
  static Napi::Value open(const Napi::CallbackInfo& info);
  ~Session();
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

 private:
  // One asynchronous call. `work` runs on a worker and must not throw; then `settle` runs on the JavaScript
  // thread.
  struct Call {
    std::shared_ptr<Session> session;
    std::function<void()> work;
    std::function<void(Napi::Env)> settle;
  };
  static void settle_call(Napi::Env env, Napi::Function callback, std::nullptr_t* context, Call* call);
  using Loop = Napi::TypedThreadSafeFunction<std::nullptr_t, Call, settle_call>;

  Session(Napi::Env env, ModelOptions options);
  void submit(Napi::Env env, Worker& worker, std::function<void()> work,
              std::function<void(Napi::Env)> settle);
  void stop_threads();
  void prepare_adapters();
  // Gives back what keeps the environment waiting for this session.
  void detach();
  static void on_environment_exit(void* session);

  Napi::Object make_object(Napi::Env env);
  Napi::Value load_adapter(const Napi::CallbackInfo& info);
  Napi::Value merge_adapter(const Napi::CallbackInfo& info);
  Napi::Value drop_adapter(const Napi::CallbackInfo& info);
  Napi::Value step(const Napi::CallbackInfo& info);
  Napi::Value memory(const Napi::CallbackInfo& info);
  Napi::Value close(const Napi::CallbackInfo& info);

  const ModelOptions options_;
  // Written by the loader thread before open() settles and freed when close() settles; in between Model says
  // which thread may call what.
  std::unique_ptr<Model> model_;
  Napi::Env env_;
  Loop loop_;
  int pending_calls_ = 0;
  bool attached_ = true;
  bool stepping_ = false;
  bool closing_ = false;
  // Last, so that their threads end before what they use.
  Worker loader_;
  Worker stepper_;
  Worker preparer_;
};

}  // namespace lorikeet::binding
