// Read reports with the SR adapters of cornerstone, as OHIF does, and print what they return.
// node read_reports.mjs FOLDER REPORTS.json
// REPORTS.json: [{path, planes: {"SOP Instance UID:frame": imagePlaneModule}}]
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

const [folder, reports] = process.argv.slice(2);
const { resolve } = createRequire(pathToFileURL(`${folder}/package.json`));
const load = (name) => import(pathToFileURL(`${folder}/node_modules/${name}`));
const log = console.log;
console.log = console.info = () => {};
const failures = [];
console.warn = (...words) => failures.push(words.map(String).join(" "));

const { Cornerstone3DSR } = await load("@cornerstonejs/adapters/dist/esm/adapters/Cornerstone3D/index.js");
const core = await load("@cornerstonejs/core/dist/esm/index.js");
const dcmjs = (await load("dcmjs/build/dcmjs.es.js")).default;
const { DicomMessage, DicomMetaDictionary } = dcmjs.data;
const { MeasurementReport, PlanarFreehandROI } = Cornerstone3DSR;

function read({ path, planes }) {
  const bytes = readFileSync(path);
  const file = DicomMessage.readFile(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length));
  const dataset = DicomMetaDictionary.naturalizeDataset(file.dict);
  const images = Object.fromEntries(Object.keys(planes).map((key) => [key, key]));
  const metadata = { get: (kind, image) => (kind === "imagePlaneModule" ? planes[image] : undefined) };
  core.metaData.removeAllProviders();
  core.metaData.addProvider((kind, image) => metadata.get(kind, image), 1);
  failures.length = 0;
  // Our tracking identifiers name no tool of cornerstone; a closed outline is this one.
  const hooks = { getToolClass: () => PlanarFreehandROI };
  const found = MeasurementReport.generateToolState(dataset, images, metadata, hooks);
  const groups = Object.values(found).flat().map((one) => ({
    tracking_uid: one.TrackingUniqueIdentifier,
    image: one.annotation.metadata.referencedImageId ?? null,
    closed: one.annotation.data.contour.closed,
    points: one.annotation.data.contour.polyline.map((point) => [...point]),
    finding: one.finding?.CodeMeaning ?? null,
    sites: one.findingSites.map((site) => site.CodeMeaning),
  }));
  return { path, groups, failures: [...failures] };
}

log(JSON.stringify(JSON.parse(readFileSync(reports)).map(read)));
