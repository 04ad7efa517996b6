"""Send a build to a running Ray cluster through the Ray Jobs API."""

import asyncio
import logging
import re
import shlex
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from corpus.recipe_file import read_recipe, to_toml
from manifests.errors import JobFailed

if TYPE_CHECKING:
    from ray.job_submission import JobSubmissionClient

_FINAL = ("SUCCEEDED", "FAILED", "STOPPED")
POLL_SECONDS = 0.5
# Two lines of its own that Ray begins every job's log with; no setting of Ray's leaves them out.
_LINES_OF_RAY = re.compile(r"Running entrypoint for job |[\d-]+ [\d:,]+\tINFO job_manager\.py:")


def submit_build(recipe_path: str, out: str, address: str, *, follow: bool, overrides: list[str]) -> int:
    """Submit `gristmill build` with the resolved recipe; returns the job's exit code (0 if not followed).

    The recipe is checked here first, its paths made absolute: input files must be visible from every node.
    Raises JobFailed if the cluster does not answer.
    """
    from ray.exceptions import RayError

    if not address.startswith(("http://", "https://")):  # Ray would look for a cluster there, for a minute
        raise JobFailed(f"{address}: is not the URL of a Ray dashboard; give one as http://HEAD:8265.")
    recipe = read_recipe(recipe_path, overrides)
    with tempfile.TemporaryDirectory(prefix="gristmill-") as folder:
        Path(folder, "recipe.toml").write_text(to_toml(recipe), "utf-8")
        target = out if "://" in out else str(Path(out).resolve())
        # Nodes may have Python elsewhere than this machine: theirs is the one that finds Ray and gristmill.
        call = ["python", "-m", "cluster.cli", "build", "recipe.toml", "--out", target, "--address", "auto"]
        try:
            client = _client(address)
            job = client.submit_job(entrypoint=shlex.join(call), runtime_env={"working_dir": folder})
        except (OSError, RuntimeError, ValueError, RayError) as error:
            reason = str(error).strip().splitlines()[0].rstrip(".")
            raise JobFailed(
                f"{address}: the cluster takes no job: {reason}. Is it the dashboard's address (http://HEAD:8265), "
                "was Ray there started with its dashboard, and if it asks for a token, is it in RAY_AUTH_TOKEN?"
            ) from error
    print(f"{job}: submitted to {address}", file=sys.stderr, flush=True)
    return _follow(client, job, address) if follow else 0


def _client(address: str) -> "JobSubmissionClient":
    """A client of the dashboard at an address; where that asks for a token, with the one that Ray has here.

    Of its own accord Ray sends it only if RAY_AUTH_MODE=token is set, though the nodes of a cluster use it without.
    """
    import ray
    from ray.exceptions import AuthenticationError
    from ray.job_submission import JobSubmissionClient

    for handler in logging.getLogger("ray").handlers:
        handler.setLevel(logging.WARNING)  # it would tell of uploads and closed sockets
    try:
        return JobSubmissionClient(address)
    except AuthenticationError:
        loader = ray._raylet.AuthenticationTokenLoader.instance()
        headers = loader.get_token_for_http_header(ignore_auth_mode=True)
        if not headers:
            raise
        return JobSubmissionClient(address, headers=headers)


def _follow(client: "JobSubmissionClient", job: str, address: str) -> int:
    """Copy what our command writes to the job's log to stdout until its end; returns its exit code."""
    try:
        asyncio.run(_copy_log(client, job))
        while (status := client.get_job_status(job).value) not in _FINAL:
            time.sleep(POLL_SECONDS)
        info = client.get_job_info(job)
    except (OSError, RuntimeError) as error:
        raise JobFailed(
            f"{address}: lost sight of {job}, which goes on: {error}. See `ray job logs --follow {job}`."
        ) from error
    except KeyboardInterrupt:
        raise JobFailed(f"{job}: is followed no longer and goes on; `ray job stop {job}` ends it.") from None
    if status == "SUCCEEDED":
        print(f"{job}: succeeded", file=sys.stderr)
        return 0
    code = info.driver_exit_code or 1
    # Without an exit code the job did not get as far as our command, and its log is empty.
    reason = f"exit code {code}" if info.driver_exit_code else " ".join(str(info.message).split())
    print(f"{job}: {status.lower()}, {reason}", file=sys.stderr)
    return int(code)


async def _copy_log(client: "JobSubmissionClient", job: str) -> None:
    async for part in client.tail_job_logs(job):
        lines = part.splitlines(keepends=True)
        sys.stdout.write("".join(line for line in lines if not _LINES_OF_RAY.match(line)))
        sys.stdout.flush()
