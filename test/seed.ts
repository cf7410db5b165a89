// Property tests draw the same cases on every machine; FC_SEED=<number> draws others (FC_SEED=random: new ones every time).
import { configureGlobal } from 'fast-check';

const asked = process.env.FC_SEED;
if (asked !== 'random') configureGlobal({ seed: asked === undefined ? 20_261_121 : Number(asked) });
