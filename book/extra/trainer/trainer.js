/* The page "Train it here": a form, a worker that trains (engine.js), and the figure of explorer.js,
	 which grows while it does. The initial weights (starts.js) are loaded at the first start. */
(function () {
	"use strict";

	const here = document.currentScript.src;
	const { add, figure } = window.semanticaFigure;
	const { task } = semanticaKernel;
	const SEEDS = 100;
	const RECORDS = 200; // of a run
	const DECAYS = [0, 0.001, 0.01, 0.1, 0.3, 1];
	const KINDS = {
		both: ["Tied beside untied, two seeds", [true, false, true, false]],
		tied: ["Tied, four seeds", [true, true, true, true]],
		untied: ["Untied, four seeds", [false, false, false, false]],
	};
	const PRESETS = {
		"The paper's odds": [
			{},
			"The DH holds for C and D and fails for A and B. Tied, C and D merge, and A and B stay apart. Untied, both pairs of input rows close along the decay clock; of the output rows only C and D merge.",
		],
		"The DH holds": [
			{ zero: 0.5, one: 0.5 },
			"All synonyms are equally likely, so no gap of logits has to be kept. Both pairs can merge in every table, the tied one too.",
		],
		"It fails": [
			{ zero: 0.1, one: 0.1 },
			"No synonyms are equally likely. Untied, the input rows close along the decay clock all the same; output rows stay apart, and so do the rows of a tied table, which are both.",
		],
		"No decay": [
			{ decay: 0 },
			"The decay clock stands still. The gaps of the logits come to the log-odds as before, and yet most pairs stay apart, even C and D, for which the DH holds: the gradient alone hardly closes a gap.",
		],
		"Almost certain": [
			{ zero: 0.01 },
			"B is written nearly always. Its logit has to lie further above A's, and in the output table and in a tied one the two stay further apart than at the paper's odds.",
		],
	};
	const PANELS = { true: { Tied: 0 }, false: { "Untied: input": 0, "Untied: output": 1 } };
	const BITS = 4; // symbols that write bits: A, B, C, D
	const SYMBOLS = [..."ABCD", "even", "odd", "mask"];

	const whole = (number) => number.toLocaleString("en");
	const two = (value) => value.toFixed(2).replace("-", "\u2212");
	const gapOf = (p) => Math.log((1 - p) / p);
	const apart = (a, b) => Math.max(1e-9, Math.hypot(...a.map((value, i) => value - b[i])));
	const dot = (a, b) => a.reduce((total, value, k) => total + value * b[k], 0);
	const sum = (values) => values.reduce((total, value) => total + value, 0);

	/* The figure's data, without a record. */
	function empty(own, ahead) {
		const pairs = [own.zero, own.one].map((p, bit) => ({ of: [2 * bit, 2 * bit + 1], holds: p === 0.5 }));
		const kinds = ["zero", "zero", "one", "one", "even", "odd", "mask"];
		const symbols = SYMBOLS.map((name, i) => {
			const pair = pairs[i >> 1];
			return { name, kind: kinds[i], dh: i < BITS ? (pair.holds ? "holds" : "fails") : "" };
		});
		const seeds = [...new Set(own.trials.map(({ seed }) => seed))];
		const trials = seeds.map((seed) => {
			const indices = own.trials.flatMap((trial, i) => (trial.seed === seed ? [i] : []));
			const panels = indices.flatMap((index) =>
				Object.entries(PANELS[own.trials[index].tied]).map(([name, table]) => {
					return { name, index, table, raw: [], moments: null, axes: null, distances: [[], []], control: [] };
				})
			);
			return { seed, panels, charts: indices.flatMap((index) => chartsOf(own, index, ahead)) };
		});
		return { steps: [], ahead, symbols, pairs, clock: null, margin: task.margin, unit: 1, trials };
	}

	/* A trial's charts beside the figure's own: the gap of the logits, and the loss. */
	function chartsOf(own, index, ahead) {
		const name = own.trials[index].tied ? "Tied" : "Untied";
		const laws = [own.zero, own.one].map(gapOf);
		const [gaps, loss] = [[[], []], []];
		const kinds = [own.zero, own.one].map((p) => (p === 0.5 ? "holds" : "fails"));
		const flat = (value) => ahead.map(() => value);
		return [
			{
				name: `${name}: gap of the logits`,
				add: (record) => gaps.forEach((one, bit) => one.push(record.gaps[index][bit])),
				told: (i) =>
					laws
						.map((law, bit) => `${["B over A", "D over C"][bit]}: ${two(gaps[bit][i])} (law: ${two(law)})`)
						.map((words) => words.replaceAll(" ", "\u00a0"))
						.join(", ") + ".",
				get curves() {
					return laws.flatMap((law, bit) => [
						[flat(law), `clock ${kinds[bit]}`],
						[gaps[bit], kinds[bit], true],
					]);
				},
			},
			{
				name: `${name}: loss`,
				add: (record) => loss.push(record.losses[index]),
				told: (i) => `${loss[i].toFixed(3)} nats; the least there can be: ${own.least.toFixed(3)}.`,
				get curves() {
					return [
						[flat(own.least), "margin"],
						[loss, "loss", true],
					];
				},
			},
		];
	}

	/* The two directions in which rows vary most, by orthogonal iteration on their covariance. */
	function axesOf({ moments: { count, first, second }, axes: before }) {
		const matrix = second.map((row, j) => row.map((value, k) => value - (first[j] * first[k]) / count));
		let axes = before ?? [0, 1].map((i) => first.map((_, k) => (k === i ? 1 : 0.3)));
		for (let turn = 0; turn < (before ? 8 : 99); turn++) {
			axes = axes.map((axis) => matrix.map((row) => dot(row, axis)));
			axes.forEach((axis, i) => {
				const rest = i ? axis.map((value, k) => value - dot(axis, axes[0]) * axes[0][k]) : axis;
				const length = Math.hypot(...rest) || 1;
				axes[i] = rest.map((value) => value / length);
			});
		}
		if (before) axes = turned(axes, before);
		const total = sum(matrix.map((row, k) => row[k])) || 1;
		return [axes, axes.map((axis) => Math.round((100 * dot(axis, matrix.map((row) => dot(row, axis)))) / total))];
	}

	/* The same plane, its axes as near as can be to those before: what was drawn stays where it was. */
	function turned([a, b], [x, y]) {
		const [ax, ay, bx, by] = [dot(a, x), dot(a, y), dot(b, x), dot(b, y)];
		const flip = Math.hypot(ax - by, ay + bx) > Math.hypot(ax + by, ay - bx) ? -1 : 1;
		const angle = Math.atan2(ay - flip * bx, ax + flip * by);
		const [c, s] = [Math.cos(angle), Math.sin(angle)];
		return [a.map((value, k) => c * value - s * flip * b[k]), a.map((value, k) => s * value + c * flip * b[k])];
	}

	/* One more record in the data; the plane is that of all so far. */
	function grown(data, record) {
		data.steps.push(record.step);
		for (const trial of data.trials) {
			for (const chart of trial.charts) chart.add(record);
			for (const panel of trial.panels) {
				const table = record.tables[panel.index];
				const all = SYMBOLS.map((_, i) => [...table.subarray((7 * panel.table + i) * task.features, (7 * panel.table + i + 1) * task.features)]);
				panel.raw.push(all);
				const none = all[0].map(() => 0);
				const moments = (panel.moments ??= { count: 0, first: none, second: none.map(() => none) });
				moments.count += all.length;
				moments.first = none.map((_, j) => moments.first[j] + sum(all.map((row) => row[j])));
				moments.second = none.map((_, j) => none.map((_, k) => moments.second[j][k] + sum(all.map((row) => row[j] * row[k]))));
				data.pairs.forEach(({ of: [a, b] }, i) => panel.distances[i].push(apart(all[a], all[b])));
				const control = [0, 1].flatMap((a) => [2, 3].map((b) => apart(all[a], all[b]))).sort((a, b) => a - b);
				panel.control.push((control[1] + control[2]) / 2);
			}
		}
	}

	/* Where the rows of one trial lie in the plane, at every record. */
	function placed(trial) {
		for (const panel of trial.panels) {
			[panel.axes, panel.shares] = axesOf(panel);
			const along = (row) => panel.axes.map((axis) => dot(row, axis));
			panel.rows = panel.raw.map((all) => all.flatMap(along));
			panel.held = panel.raw.map((all) => {
				const mean = all[0].map((_, k) => sum(all.map((row) => row[k])) / all.length);
				const around = all.map((row) => row.map((value, k) => value - mean[k])).flatMap((row) => [dot(row, row), sum(along(row).map((n) => n * n))]);
				const [whole, held] = [0, 1].map((k) => sum(around.filter((_, i) => i % 2 === k)));
				return Math.round((100 * held) / (whole || 1));
			});
		}
	}

	/* Loads a classic script beside this one: a page opened as a file may fetch nothing. */
	function loaded(name) {
		return new Promise((done, failed) => {
			add(document.head, "script", { src: new URL(name, here).href }).addEventListener("load", done);
			document.head.lastChild.addEventListener("error", () => failed(new Error(`${name} cannot be loaded`)));
		});
	}

	function trainer(root) {
		const all = add(root, "div", { class: "semantica-explorer ready" });
		const form = add(all, "form", { class: "live settings" });
		const presets = add(form, "div", { class: "controls presets", role: "group", "aria-label": "Settings that show something" });
		const point = add(form, "p", { class: "point", "aria-live": "polite" });
		const field = (text, tag, attributes) => {
			const label = add(add(form.lastChild, "div"), "label", {}, `${text} `);
			const control = add(label, tag, attributes);
			return control;
		};
		const odds = (name, [a, b], value) => {
			const label = add(form.lastChild, "label", { class: "step" }, `${a} to ${b} `);
			const range = { type: "range", name, min: 0.01, max: 0.99, step: 0.01, value };
			const control = add(label, "input", range);
			const output = add(label, "output");
			control.tell = () => {
				output.textContent = `${two(control.valueAsNumber)} to ${two(1 - control.valueAsNumber)}`;
				control.setAttribute("aria-valuetext", `${a} ${two(control.valueAsNumber)}, ${b} ${two(1 - control.valueAsNumber)}`);
			};
			control.addEventListener("input", control.tell);
			return control;
		};
		add(form, "div", { class: "controls" });
		const [zero, one] = [odds("zero", "AB", task.zero), odds("one", "CD", task.one)];
		add(form, "div", { class: "controls" });
		const decay = field("Weight decay", "select", { name: "decay" });
		for (const value of DECAYS) add(decay, "option", { value }, value);
		const kind = field("Tables", "select", { name: "kind" });
		for (const key in KINDS) add(kind, "option", { value: key }, KINDS[key][0]);
		const seed = field("Seed", "input", { type: "number", name: "seed", min: 0, max: SEEDS - 1, value: 42, required: "" });
		const steps = field("Steps", "select", { name: "steps" });
		add(steps, "option", { value: task.steps }, `${whole(task.steps)}, as in the paper`);
		add(steps, "option", { value: task.schedule_period }, `${whole(task.schedule_period)}, one period`);
		add(form, "div", { class: "controls" });
		const start = add(form.lastChild, "button", { name: "start", type: "submit" }, "Start");
		const stop = add(form.lastChild, "button", { name: "stop", type: "button", disabled: "" }, "Stop");
		const said = add(form.lastChild, "output", { class: "said", role: "status" });
		const place = add(all, "div");

		for (const name in PRESETS) {
			const [values, words] = PRESETS[name];
			const button = add(presets, "button", { type: "button", "aria-pressed": false }, name);
			button.addEventListener("click", () => {
				const own = { zero: task.zero, one: task.one, decay: task.decay, ...values };
				[zero.value, one.value, decay.value] = [own.zero, own.one, own.decay];
				for (const control of [zero, one]) control.tell();
				point.textContent = words;
				for (const one of presets.children) one.setAttribute("aria-pressed", one === button);
			});
		}
		for (const control of [zero, one, decay]) {
			control.addEventListener("input", () => {
				for (const one of presets.children) one.setAttribute("aria-pressed", false);
				point.textContent = "Settings of your own.";
			});
		}
		presets.firstChild.click();

		let [worker, data, shown, drawing, going, began, from] = [null, null, null, 0, false, 0, 0];

		function set(now) {
			going = now;
			const over = data.steps.at(-1) === data.ahead.at(-1);
			stop.textContent = going || over ? "Stop" : "Go on";
			stop.disabled = over;
			if (shown) shown.play.disabled = going;
			[began, from] = [performance.now(), data.steps.at(-1) ?? 0];
		}
		function draw() {
			drawing = 0;
			for (const trial of data.trials) placed(trial);
			const step = data.steps.at(-1);
			if (shown) shown.grow();
			else {
				shown = figure(data);
				place.replaceChildren(shown.live);
				root.classList.add("begun"); // until then a stored run stands below
				shown.play.disabled = going;
			}
			if (step === data.ahead.at(-1) || !going) return halt();
			const each = step > from ? `, ${((performance.now() - began) / (step - from)).toFixed(3)} ms a step` : "";
			said.textContent = `Step ${whole(step)} of ${whole(data.ahead.at(-1))}${each}`;
		}
		/* What is seen at rest is told to who does not see it. */
		function halt() {
			set(false);
			const step = data.steps.at(-1);
			said.textContent = `${step === data.ahead.at(-1) ? "Done" : "Stopped"} at step ${whole(step)}`;
			shown?.go(data.steps.length - 1);
		}

		async function begin() {
			worker?.terminate();
			cancelAnimationFrame(drawing);
			const ties = KINDS[kind.value][1];
			const each = kind.value === "both" ? 2 : 1;
			const seedOf = (i) => (seed.valueAsNumber + Math.floor(i / each)) % SEEDS;
			const own = {
				zero: zero.valueAsNumber,
				one: one.valueAsNumber,
				decay: Number(decay.value),
				trials: ties.map((tied, i) => ({ seed: seedOf(i), tied })),
			};
			const ahead = Array.from({ length: RECORDS + 1 }, (_, i) => (i * Number(steps.value)) / RECORDS);
			[data, shown, drawing] = [empty(own, ahead), null, 0];
			root.records = []; // as the worker told them
			said.textContent = "Starting";
			try {
				if (!window.semanticaStarts) await loaded("starts.js");
				const code = `${semanticaEngine}\n${semanticaWorker}\nsemanticaWorker();`;
				worker = new Worker(URL.createObjectURL(new Blob([code], { type: "text/javascript" })));
			} catch (error) {
				return failed(error);
			}
			const mine = worker;
			mine.onmessage = ({ data: record }) => {
				if (mine !== worker) return;
				if (record.error) return failed(record.error);
				own.least ??= record.least;
				data.clock ??= record.clock;
				root.records.push(record);
				grown(data, record);
				if (!record.step) set(true);
				drawing ||= requestAnimationFrame(draw);
			};
			worker.postMessage({ kernel: semanticaKernel, starts: semanticaStarts, own, ahead });
		}
		function failed(error) {
			said.textContent = `This browser cannot train it (${error}): it needs WebAssembly with SIMD and workers.`;
		}

		form.addEventListener("submit", (event) => {
			event.preventDefault();
			begin();
		});
		stop.addEventListener("click", () => {
			worker.postMessage({ go: !going });
			if (going) halt();
			else set(true);
		});
		root.classList.add("ready");
	}

	document.querySelectorAll(".semantica-trainer").forEach(trainer);
})();
