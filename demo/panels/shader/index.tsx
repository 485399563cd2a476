// The panel "What runs".
export default function Panel() {
  return <p>Here the plan, its reasons, and the exact WGSL of a chosen product will be shown.</p>;
}
