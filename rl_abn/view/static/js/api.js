// Requests to the server. What goes wrong is an Error with one line to show.

/** The JSON that a path answers with. */
export async function get(path) {
  return (await request(path, {})).json();
}

/** The JSON that a path answers with to a JSON question; `signal` gives the question up. */
export async function post(path, question, signal) {
  const headers = { "Content-Type": "application/json" };
  return (
    await request(path, { method: "POST", headers, body: JSON.stringify(question), signal })
  ).json();
}

export async function bytes(path) {
  return (await request(path, {})).arrayBuffer();
}

export async function blob(path) {
  return (await request(path, {})).blob();
}

/** Waits for a job. `onchange` gets its state as it goes on; `signal` stops it. */
export async function job(id, onchange, signal) {
  const path = `api/jobs/${encodeURIComponent(id)}`;
  let isStopped = false;
  for (;;) {
    const state = await get(path);
    onchange(state);
    if (state.state === "done") return state.result;
    if (state.state !== "running") throw new Error(state.message || "it failed");
    if (signal?.aborted && !isStopped) {
      isStopped = true;
      await post(`${path}/stop`, {});
    }
    await new Promise((resolve) => {
      setTimeout(resolve, 250);
    });
  }
}

async function request(path, options) {
  let answer;
  try {
    answer = await fetch(path, options);
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Error("the server does not answer: is `rl-abn view` still running?");
  }
  if (answer.ok) return answer;
  const said = await answer.json().catch(() => null);
  throw new Error(said?.error ?? `the server answers with status ${answer.status}`);
}
