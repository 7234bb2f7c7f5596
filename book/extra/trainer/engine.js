/* The trainer without a page: the library's kernel as WebAssembly (kernel.js, which book/trainer/build.py
	 makes), its schedule, and what is measured. Runs in a worker, and by itself in tests. */
"use strict";

/* Up to four trials that train together.
	 starts: base64 of the initial weights, first: the seed of the first of them;
	 own: { zero, one, decay, trials: [{ seed, tied }] }, zero and one being the probability of the first
	 way to write the bit. */
async function semanticaEngine({ task, module }, { first, weights }, own) {
	const LANES = 4;
	const MOST = 1000; // steps of a call
	const SYMBOLS = 7; // A and B write 0, C and D write 1; even, odd, mask
	const TABLE = SYMBOLS * task.features;
	const count = own.trials.length;
	const bytes = (text) => Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
	const stream = new Blob([bytes(module)]).stream().pipeThrough(new DecompressionStream("gzip"));
	const binary = await new Response(stream).arrayBuffer();
	const { exports } = (await WebAssembly.instantiate(binary, { env: { log: Math.log } })).instance;
	exports.memory.grow(4);
	let top = exports.__heap_base.value;

	function array(Kind, length) {
		const at = (top + 63) & ~63;
		top = at + length * Kind.BYTES_PER_ELEMENT;
		return new Kind(exports.memory.buffer, at, length);
	}

	/* Every context, with how probable it is among the training strings, and among all. */
	function contexts() {
		const all = Array.from({ length: 2 ** task.bits }, (_, string) => string);
		const ones = (string) => string.toString(2).replaceAll("0", "").length;
		const share = (strings, many, bit) => {
			const places = bit ? many : task.bits - many;
			return (strings.filter((string) => ones(string) === many).length * places) / (strings.length * task.bits);
		};
		const chance = (n, k, p) => {
			let result = p ** k * (1 - p) ** (n - k);
			for (let i = 1; i <= k; i++) result *= (n - k + i) / i;
			return result;
		};
		const found = [];
		for (let high = 0; high < task.bits; high++) {
			const low = task.bits - 1 - high;
			for (const bit of [0, 1]) {
				const [trained, any] = [task.strings, all].map((strings) => share(strings, high + bit, bit));
				for (let a = 0; a <= low; a++) {
					for (let c = 0; c <= high; c++) {
						const odd = (high + bit) % 2;
						const code = (a | ((low - a) << 3) | (c << 6) | ((high - c) << 9) | (odd << 31)) >>> 0;
						const written = chance(low, a, own.zero) * chance(high, c, own.one);
						found.push({ code, bit, trained: trained * written, any: any * written });
					}
				}
			}
		}
		return found;
	}

	const cases = contexts();
	const chances = [own.zero, own.one].map((p) => [p, 1 - p]);
	const size = count * task.parameters;
	const arrays = {
		flat: array(Float32Array, size),
		first: array(Float32Array, size),
		second: array(Float32Array, size),
		stopped: array(BigInt64Array, count),
		seeds: array(Uint32Array, count),
		untie: array(BigInt64Array, count),
		limits: array(Uint32Array, 2 * count),
		strings: array(Uint32Array, task.strings.length),
		codes: array(Uint32Array, cases.length),
		joint: array(Float32Array, 0),
		factors: array(Float32Array, 3 * count * MOST),
		decay: array(Float32Array, count), // which would join the gradient; AdamW's does not
		losses: array(Float32Array, count),
		memory: array(Uint8Array, 0),
	};
	const logits = array(Float32Array, LANES * SYMBOLS * (cases.length + 1)); // they go two by two
	const job = array(Uint8Array, 120).byteOffset; // as Job in semantica_lib/trainers/native/job.h
	const view = new DataView(exports.memory.buffer, job);
	Object.values(arrays).forEach((one, i) => view.setUint32(4 * i, one.byteOffset, true));
	const number = (place, value) => view.setBigInt64(56 + 8 * place, BigInt(value), true);
	[0, 0, count, task.strings.length, cases.length, 2].forEach((value, place) => number(place, value));
	[...task.betas, task.eps].forEach((value, i) => view.setFloat32(104 + 4 * i, value, true));

	const NEVER = 2n ** 62n;
	const drawn = new Float32Array(bytes(weights).buffer);
	own.trials.forEach(({ seed, tied }, trial) => {
		const from = (seed - first) * task.parameters;
		const start = drawn.slice(from, from + task.parameters);
		if (tied) start.copyWithin(TABLE, 0, TABLE);
		arrays.flat.set(start, trial * task.parameters);
		arrays.seeds[trial] = seed;
		arrays.untie[trial] = tied ? NEVER : 0n;
	});
	arrays.stopped.fill(NEVER);
	arrays.strings.set(task.strings);
	arrays.codes.set(cases.map((one) => one.code));
	arrays.limits.set(own.trials.flatMap(() => chances.map(([p]) => Math.round(p * 2 ** 32))));

	/* The learning rate at a step, counted from 0, as in semantica_lib/trainers/schedule.py. */
	function rate(step) {
		const [high, low] = [task.learning_rate, task.learning_rate_min];
		return low + ((high - low) * (1 + Math.cos(step * ((2 * Math.PI) / task.schedule_period)))) / 2;
	}
	/* What decay leaves, the rate, the scale of the second moment's root. */
	function factors(step) {
		const [one, two] = task.betas.map((beta) => 1 - Math.exp((step + 1) * Math.log(beta)));
		return [1 - rate(step) * own.decay, rate(step) / one, 1 / Math.sqrt(two)];
	}

	const engine = { step: 0, arrays, cases, exports, factors, job };
	engine.advance = function (steps) {
		for (let rest = steps; rest > 0; ) {
			const now = Math.min(rest, MOST);
			for (let i = 0; i < now; i++) {
				const found = factors(engine.step + i);
				for (let trial = 0; trial < count; trial++) arrays.factors.set(found, 3 * (i * count + trial));
			}
			number(0, engine.step);
			number(1, now);
			exports.train(job);
			engine.step += now;
			rest -= now;
		}
	};
	/* Of each trial: its two tables, row by row; the cross-entropy on the training strings, nats, and the
		 mean over the contexts of a bit of how far the logit of its second symbol lies above the first's,
		 both exact. */
	engine.record = function () {
		exports.logits(job, logits.byteOffset);
		const [losses, gaps] = [new Float64Array(count), own.trials.map(() => [0, 0])];
		const weights = [0, 0];
		cases.forEach(({ bit, trained, any }, c) => {
			weights[bit] += any;
			for (let trial = 0; trial < count; trial++) {
				const at = (symbol) => logits[LANES * (SYMBOLS * c + symbol) + trial];
				let [most, sum] = [-Infinity, 0];
				for (let j = 0; j < SYMBOLS; j++) most = Math.max(most, at(j));
				for (let j = 0; j < SYMBOLS; j++) sum += Math.exp(at(j) - most);
				const [low, high] = [at(2 * bit), at(2 * bit + 1)];
				const [p, q] = chances[bit];
				losses[trial] += trained * (most + Math.log(sum) - p * low - q * high);
				gaps[trial][bit] += any * (high - low);
			}
		});
		const tables = own.trials.map((_, t) => arrays.flat.slice(t * task.parameters, t * task.parameters + 2 * TABLE));
		return { step: engine.step, tables, losses: [...losses], gaps: gaps.map((two) => two.map((sum, bit) => sum / weights[bit])) };
	};
	/* What decay alone leaves of any distance after so many steps, in ascending order. */
	engine.clock = function (steps) {
		let [step, left] = [0, 1];
		return steps.map((end) => {
			for (; step < end; step++) left *= factors(step)[0];
			return left;
		});
	};
	/* The least that the loss can be: the entropy of the choice among synonyms. */
	const entropy = chances.map((two) => two.reduce((sum, p) => sum - p * Math.log(p), 0));
	engine.least = cases.reduce((sum, { bit, trained }) => sum + trained * entropy[bit], 0);
	return engine;
}

/* What the worker does: trains while it is told to, and tells what it records. */
function semanticaWorker() {
	const turn = new MessageChannel();
	let [engine, plan, going] = [null, null, false];
	async function run() {
		going = true;
		for (const end of plan.ahead.filter((step) => step > engine.step)) {
			if (!going) break;
			engine.advance(end - engine.step);
			postMessage(engine.record());
			await new Promise((done) => { // so that the page can have a word
				turn.port1.onmessage = done;
				turn.port2.postMessage(0);
			});
		}
		going = false;
	}
	onmessage = async ({ data }) => {
		if (data.kernel) {
			plan = data;
			try {
				engine = await semanticaEngine(data.kernel, data.starts, data.own);
			} catch (error) {
				return postMessage({ error: String(error) });
			}
			postMessage({ least: engine.least, clock: engine.clock(data.ahead), ...engine.record() });
			run();
		} else if (!data.go) going = false;
		else if (!going) run();
	};
}
