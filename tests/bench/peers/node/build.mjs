// Bundles each function into one minified file: `node build.mjs <folder of the data> <output folder>`.
import { build } from 'esbuild';

const [data, out] = process.argv.slice(2);

await build({
  entryPoints: { cards: 'src/cards.mjs', 'rebind-request': 'src/rebind-request.mjs' },
  entryNames: '[name]/index',
  outdir: out,
  outExtension: { '.js': '.mjs' },
  alias: { '#data': data },
  bundle: true,
  minify: true,
  platform: 'node',
  target: 'node20',
  format: 'esm',
  mainFields: ['module', 'main'],
  // Some packages of the SDK are CommonJS.
  banner: { js: "import { createRequire } from 'node:module'; const require = createRequire(import.meta.url);" },
});
