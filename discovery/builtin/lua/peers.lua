-- Peers as discovery writes them: text that is matched against a grammar, never executed.
-- No single quote, dollar sign or backslash here: the file carries it in an Nginx string.
local balancer = require("ngx.balancer")
local ffi = require("ffi")
local dict = ngx.shared.wharfinger
local floor = math.floor
local M = { services = {} }
local services = M.services

local BALANCES = { round_robin = true, least_conn = true, ip_hash = true, sticky = true }
local ROLES = { p = true, b = true, d = true, x = true }
local MAX_STEPS = 100000
local MAX_POINTS = 40000

local function split(text, separator)
    local parts, count = {}, 0
    for part in text:gmatch("[^" .. separator .. "]+") do
        count = count + 1
        parts[count] = part
    end
    return parts, count
end

local function whole(text, pattern)
    return text:match(pattern) == text
end

local function address_of(text)
    local host, port = text:match("^(.*):(%d+)")
    if not host or host .. ":" .. port ~= text or #port > 5 then return nil end
    if whole(host, "%d+%.%d+%.%d+%.%d+") or whole(host, "%[[%x:%.]+%]") then
        return host, tonumber(port)
    end
end

local function peer_of(text)
    local parts, count = split(text, "/")
    local weight, role = tonumber(parts[2]), parts[3]
    if count ~= 3 or not ROLES[role] or not whole(parts[2], "%d+") or weight < 1 then return nil end
    local host, port = address_of(parts[1])
    if not host then return nil end
    return { address = parts[1], host = host, port = port, fails = 0, failed_at = 0, busy = 0 },
           weight, role
end

-- Smooth weighted round robin has a period: where that is short it is worked out once.
local function sequence_of(peers, weights, count)
    local sum, most, least = 0, 0, weights[1] or 1
    for i = 1, count do
        sum = sum + weights[i]
        if weights[i] > most then most = weights[i] end
        if weights[i] < least then least = weights[i] end
    end
    if count == 0 or most == least then return peers, count end
    local divisor = weights[1]
    for i = 2, count do
        local a, b = divisor, weights[i]
        while b > 0 do a, b = b, a % b end
        divisor = a
    end
    local length = sum / divisor
    if length * count > MAX_STEPS then return nil end
    local current, sequence = {}, {}
    for i = 1, count do current[i] = 0 end
    for step = 1, length do
        local best = 1
        for i = 1, count do
            current[i] = current[i] + weights[i]
            if current[i] > current[best] then best = i end
        end
        current[best] = current[best] - sum
        sequence[step] = peers[best]
    end
    return sequence, length
end

local function group_of(peers, weights, count)
    local sequence, length = sequence_of(peers, weights, count)
    local weighed = { peers = peers, weights = weights, count = count, sequence = sequence,
                      length = length, current = {}, at = 0 }
    for i = 1, count do weighed.current[i] = 0 end
    -- Workers that all began with the first peer would load it more than the others.
    if count > 0 then weighed.at = ngx.worker.pid() * 7919 % (length or count) end
    return weighed
end

-- A ring of points (ketama): a peer that comes or goes moves its own clients only.
local function ring_of(group)
    local sum, points = 0, {}
    for i = 1, group.count do sum = sum + group.weights[i] end
    local wanted = math.min(MAX_POINTS, group.count * 160)
    for i = 1, group.count do
        local peer = group.peers[i]
        for n = 1, math.max(1, floor(wanted * group.weights[i] / sum / 4)) do
            local a = ngx.md5_bin(peer.address .. "-" .. n)
            for k = 1, 13, 4 do
                local w, x, y, z = a:byte(k, k + 3)
                points[#points + 1] = { ((w * 256 + x) * 256 + y) * 256 + z, peer }
            end
        end
    end
    table.sort(points, function(one, other) return one[1] < other[1] end)
    return points
end

-- What a text says; nil when any of it does not fit the grammar.
local function parsed(text)
    if text:find("[^%w%.:%[%]/| _]") then return nil end
    local parts, count = split(text, "|")
    local head, words = split(parts[1] or "", " ")
    if words ~= 4 or not BALANCES[head[1]] then return nil end
    if not whole(head[2], "%d+") or not whole(head[3], "%d+") then return nil end
    local entries = {}
    for i = 2, count do
        local peer, weight, role = peer_of(parts[i])
        if not peer then return nil end
        entries[i - 1] = { peer, weight, role }
    end
    return { balance = head[1], max_fails = tonumber(head[2]), fail_timeout = tonumber(head[3]),
             grpc = head[4] == "grpc", text = text }, entries
end

-- A peer keeps its failures and what it has in hand when the others around it change.
local function lists_of(entries, before)
    local lists, known = {}, {}
    for role in pairs(ROLES) do lists[role] = { {}, {} } end
    for _, entry in ipairs(entries) do
        local peer, list = entry[1], lists[entry[3]]
        peer = before[peer.address] or peer
        known[peer.address] = peer
        list[1][#list[1] + 1], list[2][#list[2] + 1] = peer, entry[2]
    end
    return lists, known
end

local function bind_ids(service, lists)
    service.bound = {}
    service.cookie = "wharfinger_" .. ngx.md5(service.name):sub(1, 8)
    for _, role in ipairs({ "p", "b", "d" }) do
        for _, peer in ipairs(lists[role][1]) do
            peer.id = ngx.md5(peer.address):sub(1, 16)
            service.bound[peer.id] = peer
        end
    end
end

local function built(name, text, before)
    local service, entries = parsed(text)
    if not service then return nil end
    local lists, known = lists_of(entries, before)
    service.name, service.key, service.known = name, "p:" .. name, known
    service.count = "n:" .. name
    service.primary = group_of(lists.p[1], lists.p[2], #lists.p[1])
    service.backup = group_of(lists.b[1], lists.b[2], #lists.b[1])
    service.tries = #lists.p[1] + #lists.b[1]
    if service.balance == "ip_hash" then
        service.ring = ring_of(service.primary.count > 0 and service.primary or service.backup)
    elseif service.balance == "sticky" then
        bind_ids(service, lists)
    end
    return service
end
