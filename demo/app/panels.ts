// The table of panels: order, names, and how each is loaded when it is first shown.
import type { ComponentType } from 'preact';

export interface PanelEntry {
  /** NAME in the URL and in demo/panels/NAME. */
  readonly name: string;
  readonly title: string;
  /** A sentence about the panel's use. */
  readonly lead: string;
  readonly load: () => Promise<{ readonly default: ComponentType }>;
}

export const PANELS: readonly PanelEntry[] = [
  {
    name: 'chat',
    title: 'Chat',
    lead: 'A language model writes in this page, on your GPU. Begin a text, or bring a model of your own.',
    load: () => import('../panels/chat/index.js'),
  },
  {
    name: 'operator',
    title: 'Operator',
    lead: 'Run one product on your GPU and on the CPU reference, and compare the results.',
    load: () => import('../panels/operator/index.js'),
  },
  {
    name: 'picture',
    title: 'See quantization',
    lead: 'A picture is the weight matrix: see the effect of bit width and group size.',
    load: () => import('../panels/picture/index.js'),
  },
  {
    name: 'shader',
    title: 'What runs',
    lead: 'The plan, its reasons, and the exact shader that runs on your GPU.',
    load: () => import('../panels/shader/index.js'),
  },
  {
    name: 'bench',
    title: 'Your GPU, measured',
    lead: 'Time this library, its peers and the limits of your machine in turns.',
    load: () => import('../panels/bench/index.js'),
  },
  {
    name: 'model',
    title: 'Bring a model',
    lead: 'Open a file of weights. It is read in this page and not uploaded.',
    load: () => import('../panels/model/index.js'),
  },
];
