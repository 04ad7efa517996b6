"""Send a build to a running Ray cluster through the Ray Jobs API."""

import asyncio
import shlex
import sys
import tempfile
from pathlib import Path

from corpus.recipe_file import read_recipe, to_toml
from manifests.errors import JobFailed

_FINAL = ("SUCCEEDED", "FAILED", "STOPPED")


def submit_build(recipe_path: str, out: str, address: str, *, follow: bool, overrides: list[str]) -> int:
    """Submit `gristmill build` with the resolved recipe; returns the job's exit code (0 if not followed).

    The recipe is checked here first, its paths made absolute: input files must be visible from every node.
    Raises JobFailed if the cluster does not answer.
    """
    from ray.job_submission import JobSubmissionClient

    recipe = read_recipe(recipe_path, overrides)
    with tempfile.TemporaryDirectory(prefix="gristmill-") as folder:
        Path(folder, "recipe.toml").write_text(to_toml(recipe), "utf-8")
        target = out if "://" in out else str(Path(out).resolve())
        call = ["python", "-m", "cluster.cli", "build", "recipe.toml", "--out", target, "--address", "auto"]
        try:
            client = JobSubmissionClient(address)
            job = client.submit_job(entrypoint=shlex.join(call), runtime_env={"working_dir": folder})
        except (ConnectionError, RuntimeError) as error:
            raise JobFailed(
                f"{address}: the cluster takes no job: {error}. Is it the dashboard's address (http://HEAD:8265), "
                "and was Ray there started with `ray start --head` and its dashboard?"
            ) from error
        print(f"{job}: submitted to {address}", file=sys.stderr, flush=True)
        return _follow(client, job) if follow else 0


def _follow(client: "JobSubmissionClient", job: str) -> int:  # type: ignore[name-defined]  # noqa: F821
    async def copy_log() -> None:
        async for part in client.tail_job_logs(job):
            sys.stdout.write(part)
            sys.stdout.flush()

    asyncio.run(copy_log())
    info = client.get_job_info(job)
    status = str(getattr(info.status, "value", info.status))
    assert status in _FINAL, status
    code = info.driver_exit_code
    print(f"{job}: {status.lower()}" + (f", exit code {code}" if code else ""), file=sys.stderr)
    return int(code) if code is not None else (0 if status == "SUCCEEDED" else 1)
