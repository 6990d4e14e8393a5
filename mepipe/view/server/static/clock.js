// Time in a clip: which frame number it is, and how fast that goes on.

const REST = 400; // ms at the end, before it begins anew
export const UNKNOWN_FPS = 25;
export const SPEEDS = [1, 2, 5, 10]; // real speed divided by

export class Clock {
  // first, last: frame numbers. stops: those that steps go to. draw(frame, playing): called when either changes.
  constructor(first, last, fps, draw) {
    Object.assign(this, { first, last, fps: fps ?? UNKNOWN_FPS, draw, stops: [first, last], slow: 1, frame: first, playing: false });
  }

  seek(frame) {
    this.frame = Math.max(this.first, Math.min(this.last, frame));
    this.rest = 0;
    this.draw(this.frame, this.playing);
  }

  step(by) {
    this.pause();
    const eps = 1e-6;
    const next = by > 0 ? this.stops.find((stop) => stop > this.frame + eps) : this.stops.findLast((stop) => stop < this.frame - eps);
    this.seek(next ?? (by > 0 ? this.first : this.last));
  }

  toggle() {
    if (this.playing) this.pause();
    else this.play();
  }

  play() {
    if (this.playing || this.last <= this.first) return;
    this.playing = true;
    this.before = performance.now();
    if (this.frame >= this.last) this.frame = this.first;
    this.draw(this.frame, true);
    requestAnimationFrame((now) => this.tick(now));
  }

  pause() {
    this.playing = false;
    this.draw(this.frame, false);
  }

  tick(now) {
    if (!this.playing) return;
    const passed = now - this.before;
    this.before = now;
    if (this.frame < this.last) {
      this.frame = Math.min(this.last, this.frame + (passed / 1000) * (this.fps / this.slow));
      this.rest = 0;
    } else {
      this.rest += passed;
      if (this.rest > REST) this.frame = this.first;
    }
    this.draw(this.frame, true);
    requestAnimationFrame((next) => this.tick(next));
  }
}

// The place of the nearest of some rising frame numbers.
export function nearest(positions, frame) {
  let best = 0;
  for (let i = 1; i < positions.length; i++) if (Math.abs(positions[i] - frame) < Math.abs(positions[best] - frame)) best = i;
  return best;
}
