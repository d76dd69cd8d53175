// Two painters with one face: GlPainter (WebGL2) and FlatPainter (2-D canvas, where there is no WebGL2 or it was lost).
// view: {x, y} centre in map units, scale in CSS pixels a map unit, width, height, ratio = device pixels a CSS pixel.

const VERTEX_SHADER = `#version 300 es
in vec2 start; in vec2 end; in vec4 color; in float ring;
uniform float progress; uniform vec2 center; uniform vec2 scale; uniform float size;
out vec4 tint; out float isRing; out float pixels;
void main() {
  gl_Position = vec4((mix(start, end, progress) - center) * scale, 0.0, 1.0);
  pixels = size * (1.0 + 0.3 * ring);
  gl_PointSize = pixels;
  tint = color;
  isRing = ring;
}`;

const FRAGMENT_SHADER = `#version 300 es
precision mediump float;
in vec4 tint; in float isRing; in float pixels;
out vec4 result;
void main() {
  float distance = length(gl_PointCoord - 0.5) * pixels;
  float edge = 0.5 * pixels;
  float cover = 1.0 - smoothstep(edge - 1.0, edge, distance);
  float hole = 1.0 - smoothstep(0.55 * edge - 0.5, 0.55 * edge + 0.5, distance);
  float alpha = tint.a * cover * (1.0 - 0.8 * isRing * hole);
  result = vec4(tint.rgb * alpha, alpha);
}`;

class GlPainter {
  constructor(canvas, map) {
    const gl = canvas.getContext("webgl2", { antialias: false, depth: false, alpha: true, powerPreference: "low-power" });
    if (!gl) throw new Error("no WebGL2");
    this.gl = gl;
    this.canvas = canvas;
    this.map = map;
    this.count = 0;
    this.program = linkProgram(gl);
    this.uniforms = Object.fromEntries(
      ["progress", "center", "scale", "size"].map((name) => [name, gl.getUniformLocation(this.program, name)]),
    );
    this.buffers = {
      positions: staticBuffer(gl, map.positions), ring: staticBuffer(gl, map.heldOut),
      color: gl.createBuffer(), order: gl.createBuffer(),
    };
    gl.enable(gl.BLEND);
    gl.blendFunc(gl.ONE, gl.ONE_MINUS_SRC_ALPHA);
  }

  setLook({ colors, order }) {
    const { gl, buffers } = this;
    gl.bindBuffer(gl.ARRAY_BUFFER, buffers.color);
    gl.bufferData(gl.ARRAY_BUFFER, colors, gl.DYNAMIC_DRAW);
    gl.bindBuffer(gl.ELEMENT_ARRAY_BUFFER, buffers.order);
    gl.bufferData(gl.ELEMENT_ARRAY_BUFFER, order, gl.DYNAMIC_DRAW);
    this.count = order.length;
  }

  /** Draw the points between round `from` and the next, `progress` 0..1 of the way. */
  draw({ from, to, progress, size }, view) {
    const { gl, uniforms } = this;
    fitCanvas(this.canvas, view);
    gl.viewport(0, 0, this.canvas.width, this.canvas.height);
    gl.clearColor(0, 0, 0, 0);
    gl.clear(gl.COLOR_BUFFER_BIT);
    gl.useProgram(this.program);
    this.bindRounds(from, to);
    gl.uniform1f(uniforms.progress, progress);
    gl.uniform2f(uniforms.center, view.x, view.y);
    gl.uniform2f(uniforms.scale, (2 * view.scale) / view.width, (2 * view.scale) / view.height);
    gl.uniform1f(uniforms.size, size * view.ratio);
    gl.bindBuffer(gl.ELEMENT_ARRAY_BUFFER, this.buffers.order);
    gl.drawElements(gl.POINTS, this.count, gl.UNSIGNED_INT, 0);
  }

  bindRounds(from, to) {
    const { gl, buffers } = this;
    const roundBytes = 4 * this.map.numPoints;
    this.bind("start", buffers.positions, 2, gl.UNSIGNED_SHORT, true, from * roundBytes);
    this.bind("end", buffers.positions, 2, gl.UNSIGNED_SHORT, true, to * roundBytes);
    this.bind("color", buffers.color, 4, gl.UNSIGNED_BYTE, true, 0);
    this.bind("ring", buffers.ring, 1, gl.UNSIGNED_BYTE, false, 0);
  }

  bind(name, buffer, length, type, normalized, offset) {
    const { gl } = this;
    const place = gl.getAttribLocation(this.program, name);
    gl.bindBuffer(gl.ARRAY_BUFFER, buffer);
    gl.enableVertexAttribArray(place);
    gl.vertexAttribPointer(place, length, type, normalized, 0, offset);
  }

  /** Give the context back: browsers keep few of them. */
  release() {
    this.gl.getExtension("WEBGL_lose_context")?.loseContext();
  }
}

class FlatPainter {
  constructor(canvas, map) {
    this.canvas = canvas;
    this.map = map;
    this.context = canvas.getContext("2d");
    this.look = { colors: new Uint8Array(0), order: new Uint32Array(0) };
  }

  setLook(look) {
    this.look = look;
  }

  draw({ from, to, progress, size }, view) {
    fitCanvas(this.canvas, view);
    this.context.setTransform(view.ratio, 0, 0, view.ratio, 0, 0);
    this.context.clearRect(0, 0, view.width, view.height);
    for (const i of this.look.order) {
      const place = placeBetween(this.map, i, from, to, progress);
      this.dot(i, toScreen(view, place[0], place[1]), size);
    }
  }

  dot(i, [x, y], size) {
    const { context, look, map } = this;
    const [red, green, blue, alpha] = look.colors.subarray(4 * i, 4 * i + 4);
    context.fillStyle = context.strokeStyle = `rgba(${red},${green},${blue},${alpha / 255})`;
    if (size < 4) {
      context.fillRect(x - size / 2, y - size / 2, size, size);
      return;
    }
    context.beginPath();
    context.arc(x, y, size / 2, 0, 2 * Math.PI);
    if (map.heldOut[i]) context.stroke();
    else context.fill();
  }

  release() {
    this.canvas.width = 0;
  }
}

/** The best painter there is for a canvas. Calls `onLost` when WebGL goes away later. */
function makePainter(canvas, map, onLost) {
  try {
    const painter = new GlPainter(canvas, map);
    canvas.addEventListener("webglcontextlost", onLost);
    return painter;
  } catch {
    return new FlatPainter(canvas, map);
  }
}

function linkProgram(gl) {
  const program = gl.createProgram();
  for (const [kind, text] of [[gl.VERTEX_SHADER, VERTEX_SHADER], [gl.FRAGMENT_SHADER, FRAGMENT_SHADER]]) {
    const shader = gl.createShader(kind);
    gl.shaderSource(shader, text);
    gl.compileShader(shader);
    gl.attachShader(program, shader);
  }
  gl.linkProgram(program);
  if (!gl.getProgramParameter(program, gl.LINK_STATUS)) throw new Error(gl.getProgramInfoLog(program));
  return program;
}

function staticBuffer(gl, values) {
  const buffer = gl.createBuffer();
  gl.bindBuffer(gl.ARRAY_BUFFER, buffer);
  gl.bufferData(gl.ARRAY_BUFFER, values, gl.STATIC_DRAW);
  return buffer;
}

function fitCanvas(canvas, view) {
  const [width, height] = [Math.round(view.width * view.ratio), Math.round(view.height * view.ratio)];
  if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
}

/** Where point i is between two rounds, in map units. */
function placeBetween(map, i, from, to, progress) {
  const [start, end] = [2 * (from * map.numPoints + i), 2 * (to * map.numPoints + i)];
  return [0, 1].map((axis) => {
    const value = map.positions[start + axis] * (1 - progress) + map.positions[end + axis] * progress;
    return value / LARGEST;
  });
}

function toScreen(view, x, y) {
  return [view.width / 2 + (x - view.x) * view.scale, view.height / 2 - (y - view.y) * view.scale];
}

function toMap(view, left, top) {
  return [view.x + (left - view.width / 2) / view.scale, view.y - (top - view.height / 2) / view.scale];
}

/** What lies over the points: lasso, paths of selected points, the picked point, the keyboard's cross. */
function paintOverlay(canvas, view, { outline, trails, ring, cross, accent, halo }) {
  fitCanvas(canvas, view);
  const context = canvas.getContext("2d");
  context.setTransform(view.ratio, 0, 0, view.ratio, 0, 0);
  context.clearRect(0, 0, view.width, view.height);
  for (const trail of trails) paintTrail(context, view, trail);
  if (outline.length > 1) paintOutline(context, view, outline, accent);
  if (ring) paintRing(context, toScreen(view, ring[0], ring[1]), accent, halo);
  if (cross) paintCross(context, view, accent);
}

function paintOutline(context, view, outline, accent) {
  context.beginPath();
  for (const [x, y] of outline) context.lineTo(...toScreen(view, x, y));
  context.closePath();
  context.strokeStyle = context.fillStyle = accent;
  context.lineWidth = 1.5;
  context.stroke();
  context.globalAlpha = 0.07;
  context.fill();
  context.globalAlpha = 1;
}

function paintTrail(context, view, { places, color }) {
  context.beginPath();
  for (const [x, y] of places) context.lineTo(...toScreen(view, x, y));
  context.strokeStyle = color;
  context.globalAlpha = 0.45;
  context.lineWidth = 1.25;
  context.stroke();
  context.globalAlpha = 1;
}

function paintRing(context, [x, y], accent, halo) {
  for (const [color, width] of [[halo, 5], [accent, 2]]) {
    context.beginPath();
    context.arc(x, y, 8, 0, 2 * Math.PI);
    context.strokeStyle = color;
    context.lineWidth = width;
    context.stroke();
  }
}

function paintCross(context, view, accent) {
  const [x, y] = [view.width / 2, view.height / 2];
  context.beginPath();
  for (const [dx, dy] of [[1, 0], [-1, 0], [0, 1], [0, -1]]) {
    context.moveTo(x + 4 * dx, y + 4 * dy);
    context.lineTo(x + 11 * dx, y + 11 * dy);
  }
  context.strokeStyle = accent;
  context.lineWidth = 1.5;
  context.stroke();
}
