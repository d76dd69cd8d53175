// Two painters with one face: GlPainter (WebGL2) and FlatPainter (2-D canvas, where there is no WebGL2 or it was lost).
// `view` is what `View.now()` gives.

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
