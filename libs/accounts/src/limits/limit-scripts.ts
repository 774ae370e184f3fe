/*
 * Run inside Redis, so each is one step however many API processes there are, by Redis's own clock. The rules are those
 * of token-bucket.ts. Of each subject there are two keys: a hash (r, t: levels; ra, ta: their times in ms) and a sorted
 * set of the requests that run, by the time at which each is given up. A key expires once it says what no key says: full.
 */

const COMMON = `
local now_parts = redis.call('TIME')
local now = now_parts[1] * 1000 + now_parts[2] / 1000

local function level(bucket, field, per_minute)
  local saved = redis.call('HMGET', bucket, field, field .. 'a')
  if not saved[1] then return per_minute end
  local elapsed = math.max(0, now - tonumber(saved[2]))
  return math.min(per_minute, tonumber(saved[1]) + elapsed * per_minute / 60000)
end

local function save(bucket, field, value, per_minute)
  redis.call('HSET', bucket, field, string.format('%.6f', value), field .. 'a', string.format('%.3f', now))
  local full_ms = math.ceil((per_minute - value) * 60000 / per_minute) + 1000
  if redis.call('PTTL', bucket) < full_ms then redis.call('PEXPIRE', bucket, full_ms) end
end
`;

/**
 * KEYS: hash and set of each subject. ARGV: lease, its ms, tokens, then requests, tokens, concurrency of each subject
 * (empty: unlimited). Answers: refused subject (from 1; 0: none), kind, ms to wait, then what is left of each subject.
 */
export const ADMIT = `${COMMON}
local lease, lease_ms, tokens = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
local subjects = #KEYS / 2
local left = {}
local refused, kind, wait = 0, '', ''
local function refuse(index, why, ms)
  if refused == 0 then refused, kind, wait = index, why, ms end
end
for i = 1, subjects do
  local bucket, running = KEYS[2 * i - 1], KEYS[2 * i]
  local rpm, tpm, most = tonumber(ARGV[3 * i + 1]), tonumber(ARGV[3 * i + 2]), tonumber(ARGV[3 * i + 3])
  local requests_left, tokens_left = nil, nil
  if rpm then
    requests_left = level(bucket, 'r', rpm)
    if requests_left < 1 then refuse(i, 'requests', (1 - requests_left) * 60000 / rpm) end
  end
  if tpm then
    tokens_left = level(bucket, 't', tpm)
    local wanted = math.min(tokens, tpm)
    if tokens_left < wanted then refuse(i, 'tokens', (wanted - tokens_left) * 60000 / tpm) end
  end
  if most then
    redis.call('ZREMRANGEBYSCORE', running, '-inf', now)
    if redis.call('ZCARD', running) >= most then refuse(i, 'concurrency', '') end
  end
  left[i] = { rpm = rpm, tpm = tpm, most = most, requests = requests_left, tokens = tokens_left }
end
local answer = { refused, kind, tostring(wait) }
for i = 1, subjects do
  local bucket, running, subject = KEYS[2 * i - 1], KEYS[2 * i], left[i]
  if refused == 0 then
    if subject.rpm then
      subject.requests = subject.requests - 1
      save(bucket, 'r', subject.requests, subject.rpm)
    end
    if subject.tpm then
      subject.tokens = subject.tokens - math.min(tokens, subject.tpm)
      save(bucket, 't', subject.tokens, subject.tpm)
    end
    if subject.most then
      redis.call('ZADD', running, now + lease_ms, lease)
      redis.call('PEXPIRE', running, lease_ms)
    end
  end
  answer[2 + 2 * i] = subject.requests and string.format('%.3f', subject.requests) or ''
  answer[3 + 2 * i] = subject.tokens and string.format('%.3f', subject.tokens) or ''
end
return answer`;

/**
 * KEYS as of ADMIT. ARGV: lease, then for each subject requests to take, requests per minute, tokens to take (below
 * zero: to give back), tokens per minute.
 */
export const SETTLE = `${COMMON}
for i = 1, #KEYS / 2 do
  local bucket, running = KEYS[2 * i - 1], KEYS[2 * i]
  local requests, rpm = tonumber(ARGV[4 * i - 2]), tonumber(ARGV[4 * i - 1])
  local tokens, tpm = tonumber(ARGV[4 * i]), tonumber(ARGV[4 * i + 1])
  if rpm and requests ~= 0 then save(bucket, 'r', math.min(rpm, level(bucket, 'r', rpm) - requests), rpm) end
  if tpm and tokens ~= 0 then save(bucket, 't', math.min(tpm, level(bucket, 't', tpm) - tokens), tpm) end
  redis.call('ZREM', running, ARGV[1])
end
return 1`;

/** KEYS: a set of running requests. ARGV: ms, then the leases of one process that still run. */
export const RENEW = `${COMMON}
for i = 2, #ARGV do redis.call('ZADD', KEYS[1], now + tonumber(ARGV[1]), ARGV[i]) end
redis.call('PEXPIRE', KEYS[1], tonumber(ARGV[1]))
return 1`;
