-- Sends CT series of abdomen and pelvis to osteoscreen once they are complete. Results (SR, SC)
-- are not CT and are not sent back. The image decides whether hips are in view: sending too
-- much costs a rejection with a reason, sending too little loses a patient.
local DESTINATION = "osteoscreen"
local MIN_SLICES = 10
local UNWANTED = {"HEAD", "BRAIN", "SINUS", "NECK", "CSPINE"}

function OnStableSeries(seriesId, tags, metadata)
  if tags["Modality"] ~= "CT" then return end
  local bodyPart = string.upper(tags["BodyPartExamined"] or "")
  for _, part in ipairs(UNWANTED) do
    if bodyPart == part then return end
  end
  local series = ParseJson(RestApiGet("/series/" .. seriesId))
  if #series["Instances"] < MIN_SLICES then return end
  -- A job of its own, one association for the series: osteoscreen sees at its end that nothing
  -- more comes. (SendToModality takes single instances only.)
  RestApiPost("/modalities/" .. DESTINATION .. "/store",
              DumpJson({Resources = {seriesId}, Synchronous = false}))
end
