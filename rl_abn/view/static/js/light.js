// A map as warm light on a dimmed screen, as rl_abn.render draws it in videos.
//
// Screen and map are added in CIELAB, where equal distances look about equally large: the screen
// keeps the lower part of the lightness, the map adds lightness and a little yellow. So a value
// looks alike on black, grey and white, and to people with any colour blindness.

const UNSEEN_BRIGHTNESS = 0.2;
const FRAME_LIGHTNESS = 0.45;
const FRAME_CHROMA = 0.4;
const MAP_LIGHTNESS = 50;
const MAP_YELLOW = 12;
const WHITE = [0.950456, 1, 1.088754];
const MOST_COLOURS = 4096;
const TONES = 4096;

const LINEAR = Float32Array.from({ length: 256 }, (_, i) => linear(i / 255));
const GAMMA = Uint8ClampedArray.from({ length: TONES + 1 }, (_, i) =>
  Math.round(255 * gamma(i / TONES)),
);
const dimmedColours = new Map();

/**
 * The screen with a map as light on it.
 *
 * @param frame ImageData of the screen.
 * @param shares How strongly each place of the map is shown, 0..1, row by row.
 * @param grid Rows and columns of the map.
 * @param options.seenRows First row that the map covers and the row after the last; null is all.
 * @param options.opacity 0 shows the screen as it is, 1 the lit one.
 */
export function lit(frame, shares, [rows, columns], { seenRows = null, opacity = 1 } = {}) {
  const { width, height, data } = frame;
  const picture = new ImageData(width, height);
  const out = picture.data;
  const [top, end] = seenRows ?? [0, height];
  const across = samples(width, columns);
  const down = samples(end - top, rows);
  const rest = 1 - opacity;
  const line = new Float32Array(columns);
  for (let y = 0, at = 0; y < height; y++) {
    const isSeen = y >= top && y < end;
    if (isSeen) {
      const { first, second, share } = down[y - top];
      for (let i = 0; i < columns; i++) {
        const upper = shares[first * columns + i];
        line[i] = upper + share * (shares[second * columns + i] - upper);
      }
    }
    for (let x = 0; x < width; x++, at += 4) {
      const [red, green, blue] = [data[at], data[at + 1], data[at + 2]];
      if (isSeen) {
        const { first, second, share } = across[x];
        add(out, at, dimmed(red, green, blue), line[first] + share * (line[second] - line[first]));
      } else {
        out[at] = UNSEEN_BRIGHTNESS * red;
        out[at + 1] = UNSEEN_BRIGHTNESS * green;
        out[at + 2] = UNSEEN_BRIGHTNESS * blue;
      }
      if (rest > 0) {
        out[at] = opacity * out[at] + rest * red;
        out[at + 1] = opacity * out[at + 1] + rest * green;
        out[at + 2] = opacity * out[at + 2] + rest * blue;
      }
      out[at + 3] = 255;
    }
  }
  return picture;
}

/** Colours of a scale from its low end to its high one, on black or white. */
export function ramp(n, ground) {
  const pixels = new Uint8ClampedArray(3 * n);
  const out = new Uint8ClampedArray(4);
  for (let i = 0; i < n; i++) {
    add(out, 0, dimmed(ground, ground, ground), i / (n - 1));
    pixels.set(out.subarray(0, 3), 3 * i);
  }
  return pixels;
}

/** For each of n pixels the two places it lies between and how far it is to the second: linear. */
function samples(n, places) {
  return Array.from({ length: n }, (_, i) => {
    const at = Math.min(Math.max(((i + 0.5) * places) / n - 0.5, 0), places - 1);
    const first = Math.floor(at);
    return { first, second: Math.min(first + 1, places - 1), share: at - first };
  });
}

/** A colour's L*, a* and b*, dimmed; screens have few colours, so they are kept. */
function dimmed(red, green, blue) {
  const key = (red << 16) | (green << 8) | blue;
  let found = dimmedColours.get(key);
  if (!found) {
    const [r, g, b] = [LINEAR[red], LINEAR[green], LINEAR[blue]];
    const x = cubeRoot((0.412453 * r + 0.35758 * g + 0.180423 * b) / WHITE[0]);
    const y = cubeRoot(0.212671 * r + 0.71516 * g + 0.072169 * b);
    const z = cubeRoot((0.019334 * r + 0.119193 * g + 0.950227 * b) / WHITE[2]);
    found = [
      FRAME_LIGHTNESS * (116 * y - 16),
      FRAME_CHROMA * 500 * (x - y),
      FRAME_CHROMA * 200 * (y - z),
    ];
    if (dimmedColours.size === MOST_COLOURS) dimmedColours.clear();
    dimmedColours.set(key, found);
  }
  return found;
}

function add(out, at, [lightness, red, yellow], share) {
  const fy = (lightness + MAP_LIGHTNESS * share + 16) / 116;
  const x = WHITE[0] * cube(fy + red / 500);
  const y = cube(fy);
  const z = WHITE[2] * cube(fy - (yellow + MAP_YELLOW * share) / 200);
  out[at] = tone(3.240479 * x - 1.53715 * y - 0.498535 * z);
  out[at + 1] = tone(-0.969256 * x + 1.875991 * y + 0.041556 * z);
  out[at + 2] = tone(0.055648 * x - 0.204043 * y + 1.057311 * z);
}

function tone(value) {
  return GAMMA[value <= 0 ? 0 : value >= 1 ? TONES : Math.round(value * TONES)];
}

function cubeRoot(value) {
  return value > 0.008856 ? Math.cbrt(value) : 7.787 * value + 16 / 116;
}

function cube(value) {
  return value > 0.206893 ? value * value * value : (value - 16 / 116) / 7.787;
}

function linear(value) {
  return value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
}

function gamma(value) {
  return value <= 0.0031308 ? 12.92 * value : 1.055 * value ** (1 / 2.4) - 0.055;
}
