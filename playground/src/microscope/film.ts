/** Where a film of stages is, and how it goes on in time. */

const STAGE = 1800; // ms that playing takes for one
const MOVES = 0.6; // the part of it in which something moves
const SOON = 250; // ms to go to a stage that is asked for, however far

export class Film {
  playing = false;
  private stages = 1;
  private position = 0; // 1.5 is halfway from stage 1 to stage 2
  private goal = 0;
  private pace = 0; // stages per ms

  /** Still is whether motion is to be reduced. */
  constructor(private readonly still: () => boolean) {}

  /** The stage that is shown, or is on its way. */
  get at(): number {
    return Math.ceil(this.position);
  }

  /** How much of it is there. */
  get share(): number {
    const on = this.position % 1;
    return on && !this.still() ? Math.min(on / MOVES, 1) : 1;
  }

  get moving(): boolean {
    return this.position !== this.goal;
  }

  /** So many stages from now on; the place in them stays if it can. */
  resize(stages: number): void {
    this.stages = stages;
    this.goTo(Math.min(this.at, stages - 1));
    this.position = this.goal;
  }

  play(): void {
    if (this.at === this.stages - 1 && !this.moving) this.position = 0;
    this.playing = true;
    this.goal = this.stages - 1;
    this.pace = 1 / STAGE;
  }

  pause(): void {
    this.playing = false;
    this.goal = this.position;
  }

  /** Goes there quickly, or at once where motion is to be reduced. */
  goTo(stage: number): void {
    this.playing = false;
    this.goal = Math.min(Math.max(stage, 0), this.stages - 1);
    this.pace = Math.abs(this.goal - this.position) / SOON;
    if (this.still()) this.position = this.goal;
  }

  /** Shows how a stage comes about. */
  show(stage: number): void {
    this.goTo(stage);
    if (!this.still()) this.position = Math.max(this.goal - 1, 0);
    this.pace = 1 / STAGE;
  }

  /** Goes on by so many ms. */
  tick(elapsed: number): void {
    const left = this.goal - this.position;
    const by = Math.min(Math.abs(left), this.pace * elapsed);
    this.position = by === Math.abs(left) ? this.goal : this.position + Math.sign(left) * by;
    if (!this.moving) this.playing = false;
  }
}
