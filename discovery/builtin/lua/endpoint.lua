-- What discovery says and asks over the push socket.
local LF = string.char(10)

local function answer(status, text)
    ngx.status = status
    ngx.header.content_type = "text/plain"
    text = text .. LF
    ngx.header.content_length = #text
    ngx.print(text)
    return ngx.exit(ngx.HTTP_OK)
end

function M.tell(generation, status)
    local stamp = dict:get("stamp") or 0
    local master = require("ngx.process").get_master_pid() or 0
    return answer(status or 200, string.format("%.0f %s %d %d", stamp, generation,
                                               ngx.worker.pid(), master))
end

local function read(body)
    local lines, entries = body:gmatch("[^" .. LF .. "]+"), {}
    local first = lines() or ""
    local kind, stamp = first:match("^(%a+) (%d+)")
    if kind ~= "full" and kind ~= "part" then return nil end
    -- Fifteen digits are exact in a number of Lua.
    if kind .. " " .. stamp ~= first or #stamp > 15 then return nil end
    for line in lines do
        local name, text = line:match("^([%w%._-]+) (.*)")
        if not name or not parsed(text) then return nil end
        entries[name] = text
    end
    return kind, tonumber(stamp), entries
end

local function forget_all_but(entries)
    for _, key in ipairs(dict:get_keys(0)) do
        local kind = key:sub(1, 2)
        if (kind == "p:" or kind == "n:") and not entries[key:sub(3)] then dict:delete(key) end
    end
end

-- Written whole before the version moves; a text that does not fit leaves everything as it was.
function M.take(generation)
    ngx.req.read_body()
    local kind, stamp, entries = read(ngx.req.get_body_data() or "")
    if not kind then return answer(400, "not in the format of peers") end
    if stamp <= (dict:get("stamp") or 0) then return M.tell(generation, 409) end
    for name, text in pairs(entries) do
        local ok, why = dict:safe_set("p:" .. name, string.format("%.0f ", stamp) .. text)
        if not ok then
            dict:incr("v", 1, 0)
            return answer(507, why)
        end
    end
    if kind == "full" then forget_all_but(entries) end
    dict:set("stamp", stamp)
    dict:incr("v", 1, 0)
    return M.tell(generation)
end

-- How many requests a service has had since Nginx was started.
function M.counted(name)
    return answer(200, string.format("%.0f", dict:get("n:" .. name) or 0))
end

-- From now on each worker takes all peers for good, whatever it has seen of them.
function M.forget(generation)
    dict:incr("forgets", 1, 0)
    dict:incr("v", 1, 0)
    return M.tell(generation)
end

return M
