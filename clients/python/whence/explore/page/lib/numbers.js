// Numbers as words, by the rules of the command line and of notebooks (whence/display/wording.py).

const FEW_NATS = 3;
const SHARE = 0.1;
const LITTLE_NATS = 0.1;
/** The probability of its sign from which an influence is told from noise (whence/significance.py). */
export const SIGNIFICANT = 0.95;

/** A number with its sign and three digits: +0.868, −12, +1.2e-5. */
export function signed(value) {
  if (!Number.isFinite(value)) return "unknown";
  const text = digits(Math.abs(value));
  return (value < 0 ? "−" : "+") + text;
}

/** A size with three digits. */
export function digits(value) {
  if (value === 0) return "0";
  if (value >= 1e6 || value < 1e-4) return value.toExponential(2);
  return String(Number(value.toPrecision(3)));
}

/** A count with separators of thousands. */
export function count(value) {
  return Number(value).toLocaleString("en-US");
}

/** A count of things: "1 token", "4,000 sequences". */
export function many(value, noun) {
  return `${count(value)} ${noun}${Number(value) === 1 ? "" : "s"}`;
}

/** A probability, rounded down, so that no hit is said to be told from noise that is not. */
export function percent(probability) {
  return probability > 0.995 ? ">99 %" : `${Math.floor(100 * probability)} %`;
}

/** A time. */
export function duration(seconds) {
  if (seconds < 1) return `${Math.round(1000 * seconds)} ms`;
  if (seconds < 90) return `${seconds.toFixed(1)} s`;
  return `${Math.round(seconds / 60)} min`;
}

/** Whether an influence is too large to be read as nats (whence/linear_range.py). */
export function outsideLinearRange(influence, logLikelihood) {
  return (
    influence > Math.max(LITTLE_NATS, -logLikelihood) ||
    Math.abs(influence) > Math.max(FEW_NATS, SHARE * Math.abs(logLikelihood))
  );
}

/** An influence, in brackets where it is outside the linear range. */
export function influenceOn(influence, logLikelihood) {
  return outsideLinearRange(influence, logLikelihood) ? `(${signed(influence)})` : signed(influence);
}

/** Whether a hit is told from noise; null where the noise is unknown. */
export function isSignificant(hit) {
  return hit.significance === undefined ? null : hit.significance >= SIGNIFICANT;
}

/** The first characters of a digest. */
export function short(digest) {
  return digest.replace(/^[a-z0-9]+:/, "").slice(0, 12);
}
