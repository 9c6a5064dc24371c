-- Sends the CT series of a complete study to osteoscreen, in one job. Results (SR, SC) are not CT
-- and are not sent back. osteoscreen ranks the series and detects in the images whether hips are
-- in view: an unsuitable series is only rejected with a reason, a series that is not sent is never
-- screened.
local DESTINATION = "osteoscreen"
local UNWANTED = {HEAD = true, BRAIN = true, SINUS = true, NECK = true, CSPINE = true}
-- Metadata of a study: what was sent of it. It is stable again when the results have arrived.
local SENT = "2024"

local function isWanted(tags)
  return tags["Modality"] == "CT" and not UNWANTED[string.upper(tags["BodyPartExamined"] or "")]
end

function OnStableStudy(studyId, tags, metadata)
  local wanted, content = {}, {}
  for _, series in ipairs(ParseJson(RestApiGet("/studies/" .. studyId .. "/series"))) do
    if isWanted(series["MainDicomTags"]) then
      table.insert(wanted, series["ID"])
      table.insert(content, series["ID"] .. ":" .. #series["Instances"])
    end
  end
  table.sort(content)
  local sent = table.concat(content, " ")
  if #wanted == 0 or metadata[SENT] == sent then return end
  -- A job sends all series over one association, and the release of the association tells
  -- osteoscreen that they are complete. (SendToModality accepts single instances only.)
  RestApiPost("/modalities/" .. DESTINATION .. "/store",
              DumpJson({Resources = wanted, Synchronous = false}))
  RestApiPut("/studies/" .. studyId .. "/metadata/" .. SENT, sent)
end
