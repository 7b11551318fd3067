-- Sign-ups for wrk: a third bring identifiers that nobody has seen, the others those of a known account.
-- Arguments: path, file of known identifiers (device, ip, email, card by tabs), name of the run, first time (s).
local known = {}
local path, run, thread, at_s
local sent = 0
local threads = {}

function setup(one)
  one:set("number", #threads)
  table.insert(threads, one)
end

function init(arguments)
  path, run, thread = arguments[1], arguments[3], number
  at_s = tonumber(arguments[4])
  for line in io.lines(arguments[2]) do
    local device, ip, email, card = line:match("^([^\t]*)\t([^\t]*)\t([^\t]*)\t([^\t]*)$")
    known[#known + 1] = string.format('"device":"%s","ip":"%s","email":"%s"', device, ip, email)
      .. (card ~= "" and string.format(',"card":"%s"', card) or "")
  end
  wrk.method = "POST"
  wrk.headers["Content-Type"] = "application/json"
  -- Each run begins elsewhere in the list and goes through it in an order that is the same each time.
  local seed = 0
  for at = 1, #run do seed = (seed * 31 + run:byte(at)) % 2147483647 end
  math.randomseed(seed + thread)
end

function request()
  sent = sent + 1
  local name = run .. "-" .. thread .. "-" .. sent
  local identifiers
  if sent % 3 == 0 then
    identifiers = string.format(
      '"device":"new-%s","ip":"11.%d.%d.%d","email":"new-%s@mail.example","card":"new-%s"',
      name, math.random(0, 255), math.random(0, 255), math.random(1, 254), name, name)
  else
    identifiers = known[math.random(#known)]
  end
  local body = string.format(
    '{"event_type":"signup","event_id":"ev-%s","event_timestamp":"%s","account":{"id":"b-%s"},'
      .. '"identifiers":{%s},"properties":{"country":"%s","client":"web","form_s":%.1f,"newsletter":false}}',
    name, os.date("!%Y-%m-%dT%H:%M:%SZ", at_s + math.floor(sent / 50)), name, identifiers,
    sent % 2 == 0 and "DE" or "US", 5 + math.random() * 60)
  return wrk.format(nil, path, nil, body)
end

function done(summary, latency, requests)
  io.write(string.format(
    '\n{"requests":%d,"duration_us":%d,"p50_us":%.1f,"p90_us":%.1f,"p99_us":%.1f,"max_us":%.1f,"mean_us":%.1f,'
      .. '"failed_sockets":%d,"failed_statuses":%d}\n',
    summary.requests, summary.duration, latency:percentile(50), latency:percentile(90),
    latency:percentile(99), latency.max, latency.mean,
    summary.errors.connect + summary.errors.read + summary.errors.write + summary.errors.timeout,
    summary.errors.status))
end
