// Read reports with the SR adapters of cornerstone, as OHIF does, and print what they return.
// node read_reports.mjs FOLDER REPORTS.json
// REPORTS.json: [{path, planes: {"SOP Instance UID:frame": imagePlaneModule}}]
import { readFileSync } from "node:fs";
import { pathToFileURL } from "node:url";

const [folder, reports] = process.argv.slice(2);
const load = (name) => import(pathToFileURL(`${folder}/node_modules/${name}`));
const log = console.log;
console.log = console.info = () => {};
const failures = [];
console.warn = (...words) => failures.push(words.map(String).join(" "));

const adapters = "@cornerstonejs/adapters/dist/esm/adapters";
const { Cornerstone3DSR } = await load(`${adapters}/Cornerstone3D/index.js`);
const { scoordToWorld } = await load(`${adapters}/helpers/scoordToWorld.js`);
const core = await load("@cornerstonejs/core/dist/esm/index.js");
const { DicomMessage, DicomMetaDictionary } = (await load("dcmjs/build/dcmjs.es.js")).default.data;
const { MeasurementReport } = Cornerstone3DSR;

const list = (value) => (Array.isArray(value) ? value : value ? [value] : []);
const children = (item, meaning) =>
  list(item?.ContentSequence).filter((one) => list(one.ConceptNameCodeSequence)[0]?.CodeMeaning === meaning);

function readGroup(group, images, metadata) {
  const SCOORDGroup = list(group.ContentSequence).find((one) => one.ValueType === "SCOORD");
  const found = MeasurementReport.processSCOORDGroup({
    SCOORDGroup, toolType: "PlanarFreehandROI", sopInstanceUIDToImageIdMap: images, metadata,
  });
  const { referencedImageId } = found;
  return {
    tracking_uid: children(group, "Tracking Unique Identifier")[0].UID,
    image: referencedImageId,
    points: scoordToWorld({ is3DMeasurement: false, referencedImageId }, SCOORDGroup),
  };
}

function read({ path, planes }) {
  const bytes = readFileSync(path);
  const end = bytes.byteOffset + bytes.length;
  const file = DicomMessage.readFile(bytes.buffer.slice(bytes.byteOffset, end));
  const dataset = DicomMetaDictionary.naturalizeDataset(file.dict);
  const images = Object.fromEntries(Object.keys(planes).map((key) => [key, key]));
  const get = (kind, image) => (kind === "imagePlaneModule" ? planes[image] : undefined);
  core.metaData.removeAllProviders();
  core.metaData.addProvider(get, 1);
  failures.length = 0;
  // What OHIF would load as measurements of its own, without the rest of the report.
  const editable = Object.values(MeasurementReport.generateToolState(dataset, images, { get })).flat();
  const measurements = children(dataset, "Imaging Measurements")[0];
  const groups = [];
  for (const group of children(measurements, "Measurement Group")) {
    try {
      groups.push(readGroup(group, images, { get }));
    } catch (error) {
      failures.push(`a group is not read: ${error}`);
    }
  }
  return { path, groups, editable: editable.length, failures: [...failures] };
}

log(JSON.stringify(JSON.parse(readFileSync(reports)).map(read)));
