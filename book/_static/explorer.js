/* The moving figure: draws each .semantica-explorer from the data that it holds
	 (semantica_lib/figures/explorer.py). Without this script its still figure stays. The page on which
	 one trains draws by it what comes (trainer/trainer.js). */
(function () {
	"use strict";

	const SIDE = 220; // a panel's width in units of its own; the page scales it
	const TALL = 212; // height of the plane, whose axes have one scale
	const LOW = 160; // height of the curves
	const EDGE = { left: 42, right: 8, top: 8, bottom: 34 };
	const FRAME = 130; // ms
	const calm = matchMedia("(prefers-reduced-motion: reduce)");
	const SHAPES = {
		zero: "M-6-6H6V6H-6Z",
		one: "M-7 0A7 7 0 1 1 7 0A7 7 0 1 1-7 0Z",
		even: "M0-6L6 5H-6Z",
		odd: "M0 6L6-5H-6Z",
		mask: "M0-6L6 0L0 6L-6 0Z",
	};
	// Names of synonyms stand on different sides, to be read when their marks are one.
	const RIGHT = { x: 9, y: 5, "text-anchor": "start" };
	const LEFT = { x: -9, y: 5, "text-anchor": "end" };
	const ABOVE = { y: -9, "text-anchor": "middle" };
	const BELOW = { y: 18, "text-anchor": "middle" };

	function add(parent, tag, attributes, text) {
		const space = tag === "svg" ? "http://www.w3.org/2000/svg" : parent.namespaceURI;
		const made = document.createElementNS(space, tag);
		for (const key in attributes) made.setAttribute(key, attributes[key]);
		if (text !== undefined) made.textContent = text;
		parent.append(made);
		return made;
	}

	const dh = (pair) => (pair.holds ? "holds" : "fails");
	const whole = (number) => number.toLocaleString("en");
	const short = (number) => String(Number(number.toPrecision(2)));
	const path = (places) => "M" + places.map((place) => place.map((n) => n.toFixed(1)).join(" ")).join("L");
	const scale = (low, high, from, to) => (value) => from + ((value - low) / (high - low || 1)) * (to - from);

	/* About four round numbers. */
	function ticks(low, high) {
		const ten = 10 ** Math.floor(Math.log10((high - low) / 4));
		const step = [1, 2, 5, 10].map((n) => n * ten).find((n) => n >= (high - low) / 4);
		const found = [];
		for (let n = Math.ceil(low / step); n * step <= high; n++) found.push(Number((n * step).toPrecision(6)));
		return found;
	}

	function grid(parent, height, x, y, across, up, label = String) {
		parent.replaceChildren();
		for (const tick of across) {
			add(parent, "path", { d: `M${x(tick)} ${EDGE.top}V${height - EDGE.bottom}` });
			add(parent, "text", { x: x(tick), y: height - EDGE.bottom + 14, "text-anchor": "middle" }, label(tick));
		}
		for (const tick of up) {
			add(parent, "path", { d: `M${EDGE.left} ${y(tick)}H${SIDE - EDGE.right}` });
			add(parent, "text", { x: EDGE.left - 4, y: y(tick) + 4, "text-anchor": "end" }, tick);
		}
	}

	/* A table at a record, in words. */
	function told(data, panel, record) {
		const words = data.pairs.map((pair, i) => {
			const [distance, control] = [panel.distances[i][record], panel.control[record]];
			const names = pair.of.map((symbol) => data.symbols[symbol].name).join("–\u2060");
			return `${names} ${short(distance)} (${short(distance / control)})`.replaceAll(" ", "\u00a0");
		});
		const held = `In the plane: ${panel.held[record]}% of the variance.`;
		return `Apart (as a share of a control pair): ${words.join(", ")}. ${held}`;
	}

	/* Where every symbol is, [record][symbol]: as it is, or, close up, from the middle of the bits'
	   symbols and as a share of the control pairs' distance. */
	function places(data, panel, close) {
		const bits = data.symbols.findIndex((one) => one.kind === "even"); // which stand first
		return panel.rows.map((row, record) => {
			const found = data.symbols.map((_, i) => [row[2 * i] / data.unit, row[2 * i + 1] / data.unit]);
			if (!close) return found;
			const middle = [0, 1].map((k) => found.slice(0, bits).reduce((sum, place) => sum + place[k] / bits, 0));
			return found.map((place) => place.map((value, k) => (value - middle[k]) / panel.control[record]));
		});
	}

	/* A table's symbols in the plane: draws them at a record. */
	function plane(parent, data) {
		const root = add(parent, "svg", { viewBox: `0 0 ${SIDE} ${TALL}`, role: "img", "aria-label": "symbols in the plane" });
		const lines = add(root, "g", { class: "grid" });
		const axes = ["translate(127 208)", "translate(11 93) rotate(-90)"].map((transform) =>
			add(root, "text", { transform, "text-anchor": "middle" })
		);
		const box = { x: EDGE.left, y: EDGE.top, width: 170, height: 170 };
		const inside = add(root, "svg", { ...box, viewBox: Object.values(box).join(" ") }); // which cuts
		const trails = data.symbols.map((one) => add(inside, "path", { class: `trail ${one.dh}` }));
		const links = data.pairs.map((pair) => add(inside, "path", { class: `link ${dh(pair)}` }));
		const marks = data.symbols.map((one) => {
			const mark = add(root, "g", { class: `symbol ${one.dh}`, "data-symbol": one.name });
			add(mark, "path", { d: SHAPES[one.kind] });
			return mark;
		});
		const names = data.symbols.map((one, i) => {
			const nth = i - data.symbols.findIndex((other) => other.kind === one.kind);
			const side = { even: ABOVE, odd: BELOW, mask: RIGHT }[one.kind] ?? [LEFT, RIGHT, ABOVE, BELOW][nth % 4];
			const name = add(root, "g", { class: `symbol ${one.dh}` });
			add(name, "text", side, one.name);
			return name;
		});

		return function (panel, record, close) {
			const ways = places(data, panel, close);
			const [[left, right], [low, high]] = [0, 1].map((k) => {
				const all = ways.flat().map((place) => place[k]);
				return [Math.min(...all), Math.max(...all)];
			});
			const half = close ? 1.25 : 0.58 * Math.max(right - left, high - low, 1e-6);
			const [cx, cy] = close ? [0, 0] : [(left + right) / 2, (low + high) / 2];
			const x = scale(cx - half, cx + half, box.x, box.x + box.width);
			const y = scale(cy - half, cy + half, box.y + box.height, box.y);
			grid(lines, TALL, x, y, ticks(cx - half, cx + half), ticks(cy - half, cy + half));
			axes.forEach((axis, k) => (axis.textContent = `axis ${k + 1}: ${panel.shares[k] ?? 0}% of variance`));
			const way = (symbol) => ways.slice(0, record + 1).map((all) => [x(all[symbol][0]), y(all[symbol][1])]);
			const now = data.symbols.map((_, i) => way(i)[record]);
			now.forEach(([px, py], i) => {
				trails[i].setAttribute("d", path(way(i)));
				const kx = Math.min(Math.max(px, box.x), box.x + box.width);
				const ky = Math.min(Math.max(py, box.y), box.y + box.height);
				for (const part of [marks[i], names[i]]) {
					part.style.transform = `translate(${kx.toFixed(1)}px, ${ky.toFixed(1)}px)`;
					part.classList.toggle("outside", kx !== px || ky !== py);
				}
				if (data.symbols[i].kind === "mask") {
					const side = kx > 0.8 * SIDE ? LEFT : RIGHT;
					for (const key in side) names[i].firstChild.setAttribute(key, side[key]);
				}
			});
			data.pairs.forEach((pair, i) => links[i].setAttribute("d", path(pair.of.map((symbol) => now[symbol]))));
		};
	}

	/* Curves over the steps: draws them, marks a record, and goes to one that is pointed at. */
	function chart(parent, data, label, go, log) {
		const named = { role: "img", "aria-label": label, class: "curves" };
		const root = add(parent, "svg", { viewBox: `0 0 ${SIDE} ${LOW}`, ...named });
		const [lines, drawn] = [add(root, "g", { class: "grid" }), add(root, "g")];
		const steps = data.ahead ?? data.steps; // predictions may run ahead of the records
		const last = steps[steps.length - 1];
		const x = scale(0, last, EDGE.left, SIDE - EDGE.right - 8);
		for (const kind of ["pointerdown", "pointermove"]) {
			root.addEventListener(kind, (event) => {
				if (!event.buttons) return;
				const box = root.getBoundingClientRect();
				const step = scale(x(0), x(last), 0, last)(((event.clientX - box.left) / box.width) * SIDE);
				const away = data.steps.map((one) => Math.abs(one - step));
				go(away.indexOf(Math.min(...away)));
			});
		}

		/* curves: [values, classes, whether the record is marked by a dot] */
		return function (curves, record) {
			const placed = log ? Math.log10 : Number;
			const all = curves.flatMap(([values]) => values.map(placed));
			const [least, most] = [Math.min(...all), Math.max(...all)];
			const edge = log ? 0.1 : 0.06 * (most - least) || 0.1;
			const [low, high] = [least - edge, most + edge];
			const y = (value) => scale(low, high, LOW - EDGE.bottom, EDGE.top)(placed(value));
			const every = Math.ceil((high - low) / 4); // power has a tick
			const up = ticks(low, high);
			const powers = () => up.filter((n) => n % every === 0).map((n) => Number(`1e${n}`));
			grid(lines, LOW, x, y, [0, last / 2, last], log ? powers() : up, (n) => (n < 10000 ? n : `${n / 1000}k`));
			add(lines, "text", { x: 126, y: LOW - 4, "text-anchor": "middle" }, "step");
			drawn.replaceChildren();
			for (const [values, kind] of curves) {
				add(drawn, "path", { class: kind, d: path(values.map((value, i) => [x(steps[i]), y(value)])) });
			}
			const at = x(data.steps[record]);
			add(drawn, "path", { class: "marker", d: `M${at} ${EDGE.top}V${LOW - EDGE.bottom}` });
			for (const [values, kind, dot] of curves) {
				if (dot) add(drawn, "circle", { class: kind, r: 3.5, cx: at, cy: y(values[record]) });
			}
		};
	}

	/* The pairs' distances over the steps, beside the control pairs' and the decay clock. */
	function distances(panel, data) {
		const curves = [
			[panel.control, "control"],
			[panel.control.map((value) => value * data.margin), "margin"],
		];
		data.pairs.forEach((pair, i) => {
			const own = panel.distances[i];
			if (data.clock) curves.push([data.clock.map((left) => left * own[0]), `clock ${dh(pair)}`]);
			curves.push([own, dh(pair), true]);
		});
		return curves;
	}

	/* A figure that moves, and may grow: of data as explorer.py makes them, which may have further
		 charts of each trial, { name, told(record), curves } as `chart` takes them, and the steps `ahead` at
		 which there will be records. */
	function figure(data) {
		const most = () => data.steps.length - 1;
		const live = document.createElement("div");
		live.className = "live";
		const controls = add(live, "div", { class: "controls" });
		const play = add(controls, "button", { name: "play", type: "button" }, "Play");
		const sliding = add(controls, "label", { class: "step" }, "Step ");
		const output = add(sliding, "output");
		const slider = add(sliding, "input", { type: "range", name: "step", "aria-label": "Step", min: 0, max: most(), value: most() });
		const seed = add(add(controls, "label", {}, "Seed "), "select", { name: "seed" });
		data.trials.forEach((trial, i) => add(seed, "option", { value: i }, trial.seed));
		const closer = add(controls, "label");
		const close = add(closer, "input", { type: "checkbox", name: "close" });
		closer.append("Close-up");
		const panels = add(live, "div", { class: "panels" });
		const parts = data.trials[0].panels.map(({ name }) => {
			const part = add(panels, "section", { "aria-label": name });
			add(part, "p", { class: "head" }, name);
			const [above, below] = [plane(part, data), chart(part, data, "distances over the steps", go, true)];
			return [above, below, add(part, "p", { class: "foot" })];
		});
		const further = add(live, "div", { class: "panels further" });
		const charts = (data.trials[0].charts ?? []).map(({ name }) => {
			const part = add(further, "section", { "aria-label": name });
			add(part, "p", { class: "head" }, name);
			return [chart(part, data, `${name}, over the steps`, go, false), add(part, "p", { class: "foot" })];
		});
		const status = add(live, "p", { class: "status", "aria-live": "polite" });
		let timer = 0;
		let telling = 0;

		function draw() {
			const [record, trial] = [slider.valueAsNumber, data.trials[seed.value]];
			output.textContent = whole(data.steps[record]);
			slider.setAttribute("aria-valuetext", `${output.textContent} of ${whole((data.ahead ?? data.steps).at(-1))}`);
			parts.forEach(([above, below, foot], i) => {
				const panel = trial.panels[i];
				above(panel, record, close.checked);
				below(distances(panel, data), record);
				foot.textContent = told(data, panel, record);
			});
			charts.forEach(([drawn, foot], i) => {
				drawn(trial.charts[i].curves, record);
				foot.textContent = trial.charts[i].told(record);
			});
		}
		/* Stop, show a record and say it. */
		function go(record) {
			clearInterval(timer);
			timer = 0;
			play.textContent = "Play";
			live.classList.remove("playing");
			slider.value = record;
			draw();
			clearTimeout(telling);
			telling = setTimeout(() => {
				const words = [...panels.children, ...further.children].map((part) => `${part.ariaLabel}: ${part.lastChild.textContent}`);
				status.textContent = `Step ${output.textContent}. ${words.join(" ")}`;
			}, 600);
		}
		play.addEventListener("click", () => {
			if (timer) return go(slider.value);
			if (slider.valueAsNumber === most()) slider.value = 0;
			draw();
			play.textContent = "Pause";
			live.classList.add("playing");
			const [leap, wait] = calm.matches ? [Math.ceil(most() / 12), 10 * FRAME] : [1, FRAME];
			timer = setInterval(() => {
				slider.value = slider.valueAsNumber + leap;
				if (slider.valueAsNumber === most()) return go(most());
				draw();
			}, wait);
		});
		slider.addEventListener("input", () => go(slider.value));
		for (const control of [seed, close]) control.addEventListener("change", () => go(slider.value));

		/* After more was recorded: whoever looks at the last record goes on with it. */
		function grow() {
			const follows = slider.valueAsNumber === Number(slider.max);
			slider.max = most();
			if (follows) slider.value = slider.max;
			draw();
		}

		draw();
		return { live, play, go, grow };
	}

	function explorer(root) {
		root.prepend(figure(JSON.parse(root.querySelector("script").textContent)).live);
		root.classList.add("ready"); // only now the still figure may go
	}

	window.semanticaFigure = { add, figure };

	const begin = () => document.querySelectorAll(".semantica-explorer:not(.ready)").forEach(explorer);
	if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", begin);
	else begin();
})();
