"""For the Trainer of Transformers, and for TRL's trainers, which take the same callbacks: announces the adapter when
training ends. The files must then lie where the server can fetch them, e.g. in the bucket that `upload` copies to."""

from collections.abc import Callable
from pathlib import Path

from signing import post_signed
from transformers import TrainerCallback


class AnnounceAdapter(TrainerCallback):
    """`upload` gets the folder with the adapter's two files and returns its URL (https://..., s3://..., hf://...)."""

    def __init__(self, hook_url: str, secret: str, adapter: str, upload: Callable[[Path], str]):
        self.hook_url, self.secret, self.adapter, self.upload = hook_url, secret, adapter, upload

    def on_train_end(self, args, state, control, model=None, **_):
        if not state.is_world_process_zero:
            return
        folder = Path(args.output_dir) / "adapter"
        model.save_pretrained(folder)
        numbers = {}
        for entry in state.log_history:
            numbers.update({name: value for name, value in entry.items() if isinstance(value, (int, float))})
        job = args.run_name or Path(args.output_dir).name
        data = {"job_id": job, "adapter": self.adapter, "artifact": {"url": self.upload(folder)}, "metrics": numbers}
        # Named after the step, so that a repetition after a crash announces the same version, not a second one.
        message_id = f"{job}-step-{state.global_step}"
        post_signed(self.hook_url, self.secret, {"type": "fine_tuning.job.succeeded", "data": data}, message_id)
