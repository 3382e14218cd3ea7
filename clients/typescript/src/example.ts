import { Client, Direction, WhenceError } from "./index.js";

const client = new Client(process.argv[2] ?? "localhost:50051", { timeoutS: 60 });
const query = {
  input: { case: "text" as const, value: { prompt: "The capital of Myrrenland is", completion: " Marrford" } },
};
const options = { topK: 3, direction: Direction.BOTH };

try {
  const { attribution } = await client.attribute({ query, options });
  for (const hit of attribution?.positive ?? []) {
    console.log(hit.rank, hit.influence.toFixed(4), hit.sequence?.sequenceId, hit.sequence?.text);
  }

  for await (const event of client.streamAttribute({ query, options })) {
    if (event.case === "partial") {
      console.log(`${event.value.sequencesScored} of ${event.value.sequencesTotal} sequences scored`);
    } else {
      console.log(`done: ${event.value.attribution?.negative.length} negative hits`);
    }
  }

  await client.attribute({ query, options: { topK: 1_000_000 } });
} catch (error) {
  if (!(error instanceof WhenceError)) throw error;
  console.log(`refused: ${error.reason}, field ${error.field}, request ${error.requestId}`);
} finally {
  client.close();
}
