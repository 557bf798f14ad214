/**
 * Asks a language model behind any endpoint that speaks OpenAI's chat completions, which most do. Nothing happens unless
 * `OPENAI_BASE_URL` is set. An answer is awaited for a limited time and no longer than the attempt lives; any failure is
 * the caller's to handle.
 */

const WAIT_MS = 30_000;
const ANSWER_CHARS_MAX = 10_000;

/**
 * Where and what to ask, or undefined: `OPENAI_BASE_URL` (such as http://127.0.0.1:11434/v1), `OPENAI_MODEL`
 * (`gpt-4o-mini` when not set), `OPENAI_API_KEY` (none when not set).
 */
export function modelConfig({ OPENAI_BASE_URL, OPENAI_MODEL, OPENAI_API_KEY }) {
  if (!OPENAI_BASE_URL) return undefined;
  return {
    url: `${OPENAI_BASE_URL.replace(/\/+$/, "")}/chat/completions`,
    name: OPENAI_MODEL || "gpt-4o-mini",
    key: OPENAI_API_KEY,
  };
}

/** The model's answer as text. Rejects when it does not come, or is empty. */
export async function askModel({ url, name, key }, messages, ctx) {
  const response = await fetch(url, {
    method: "POST",
    headers: {
      "content-type": "application/json",
      // A service that knows the header answers a repeated attempt from the first one's result.
      "idempotency-key": ctx.idempotencyKey,
      ...(key ? { authorization: `Bearer ${key}` } : {}),
    },
    body: JSON.stringify({ model: name, messages, temperature: 0.2 }),
    signal: AbortSignal.any([ctx.signal, AbortSignal.timeout(WAIT_MS)]),
  });
  if (!response.ok) throw new Error(`HTTP ${response.status}`);
  const answer = (await response.json()).choices?.[0]?.message?.content;
  if (typeof answer !== "string" || answer.trim() === "") throw new Error("the answer is empty");
  return answer.trim().slice(0, ANSWER_CHARS_MAX);
}
