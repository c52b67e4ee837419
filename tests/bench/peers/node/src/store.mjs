// The table: one read of a merchant, one transaction for a new rebind.
import { createHash } from 'node:crypto';
import {
  DynamoDBClient,
  GetItemCommand,
  QueryCommand,
  TransactionCanceledException,
  TransactWriteItemsCommand,
} from '@aws-sdk/client-dynamodb';
import { clientConfig } from './clients.mjs';
import { Problem } from './problem.mjs';
import { utcMonth } from './time.mjs';

const { TABLE, RECORD_TABLE } = process.env;
const READS_MAX = 4;
const FORMAT = 1;

export const dynamodb = new DynamoDBClient(clientConfig);

/** Another write came first. */
export class Conflict extends Error {}

const checkFormat = (item) => {
  if (Number(item.v?.N) !== FORMAT) throw new Error(`format ${item.v?.N} of an item is unknown`);
};

const readRebind = (item) => {
  checkFormat(item);
  const record = JSON.parse(item.state.S);
  return { ...record, number: Number.parseInt(record.id.slice(4, 10), 16) };
};

const readState = (item) => {
  checkFormat(item);
  return {
    state: JSON.parse(item.state.S),
    version: Number(item.version.N),
    cooldownUntil: item.cooldown_until && Number(item.cooldown_until.N),
    sessions: [0, 1, 2, 3, 4].map((slot) => item[`s${slot}`]?.B),
  };
};

/** True if the items come from different commits: the read saw half of a transaction. */
const isTorn = ({ state, rebind, profile }) => {
  if (profile.version !== state.rec) return true;
  if (!rebind) return state.n > 0;
  return rebind.number === state.n ? rebind.ver !== state.rv : rebind.number > state.n;
};

const readOnce = async (merchantId, consistent) => {
  const pk = { S: `M#${merchantId}` };
  const [tail, record] = await Promise.all([
    dynamodb.send(
      new QueryCommand({
        TableName: TABLE,
        KeyConditionExpression: 'pk = :pk AND sk BETWEEN :first AND :last',
        ExpressionAttributeValues: { ':pk': pk, ':first': { S: 'R#000000' }, ':last': { S: 'Y' } },
        ScanIndexForward: false,
        Limit: 2,
        ConsistentRead: true,
      }),
    ),
    dynamodb.send(
      new GetItemCommand({ TableName: RECORD_TABLE, Key: { pk, sk: { S: 'Z' } }, ConsistentRead: consistent }),
    ),
  ]);
  const stateItem = tail.Items.find((item) => item.sk.S === 'Y');
  const rebindItem = tail.Items.find((item) => item.sk.S !== 'Y');
  if (!stateItem || !record.Item) return undefined;
  checkFormat(record.Item);
  return {
    id: merchantId,
    ...readState(stateItem),
    profile: { ...JSON.parse(record.Item.state.S), version: Number(record.Item.version.N) },
    rebind: rebindItem && readRebind(rebindItem),
  };
};

/** The merchant's state, profile and latest rebind; `undefined` for an unknown merchant. */
export const loadMerchant = async (merchantId) => {
  for (let reads = 0; reads < READS_MAX; reads += 1) {
    const merchant = await readOnce(merchantId, reads > 0);
    if (!merchant || !isTorn(merchant)) return merchant;
  }
  throw new Problem('VERSION_CONFLICT', { retry_after_s: 1 });
};

const dueBucket = (merchantId, at) => {
  const shard = createHash('sha256').update(merchantId).digest()[0] % 4;
  return `${utcMonth(at)}#${shard}`;
};

const put = (Item) => ({ Put: { TableName: TABLE, Item, ConditionExpression: 'attribute_not_exists(pk)' } });

const stateUpdate = (merchant, state, session, now) => ({
  Update: {
    TableName: TABLE,
    Key: { pk: { S: `M#${merchant.id}` }, sk: { S: 'Y' } },
    UpdateExpression: 'SET #version = :next, #state = :state, #session = :session',
    // Independent of the state that was read: no cooldown may run when a rebind begins.
    ConditionExpression:
      '#version = :read AND begins_with(#session, :token) AND ' +
      '(attribute_not_exists(cooldown_until) OR cooldown_until <= :now)',
    ExpressionAttributeNames: { '#version': 'version', '#state': 'state', '#session': session.name },
    ExpressionAttributeValues: {
      ':read': { N: String(merchant.version) },
      ':next': { N: String(merchant.version + 1) },
      ':state': { S: JSON.stringify(state) },
      ':session': { B: session.value },
      ':token': { B: session.prefix },
      ':now': { N: String(now) },
    },
  },
});

const rebindItem = (merchantId, { record, number, sealed, device }) => ({
  pk: { S: `M#${merchantId}` },
  sk: { S: `R#${number.toString(16).padStart(6, '0')}` },
  v: { N: String(FORMAT) },
  rev: { N: '1' },
  state: { S: JSON.stringify(record) },
  number: { B: sealed },
  device: { N: String(device.firstSeen) },
  due_bucket: { S: dueBucket(merchantId, record.exp) },
  due_at: { N: String(record.exp) },
});

const eventItem = (event) => ({
  pk: { S: `M#${event.merchant_id}` },
  sk: { S: `E#${String(event.seq).padStart(10, '0')}` },
  v: { N: String(FORMAT) },
  at: { N: String(event.at) },
  kind: { S: event.kind },
  policy: { N: String(event.policy) },
  data: { S: JSON.stringify(event.data) },
  prev_hash: { S: event.prev_hash },
  hash: { S: event.hash },
});

/** Writes state, rebind and event in one transaction. Throws `Conflict` if another write came first. */
export const commitRebind = async (merchant, { state, rebind, event, session }, now) => {
  const writes = [stateUpdate(merchant, state, session, now), put(rebindItem(merchant.id, rebind)), put(eventItem(event))];
  try {
    await dynamodb.send(new TransactWriteItemsCommand({ TransactItems: writes }));
  } catch (error) {
    const conflicts = ['ConditionalCheckFailed', 'TransactionConflict'];
    if (
      error instanceof TransactionCanceledException &&
      error.CancellationReasons?.some(({ Code }) => conflicts.includes(Code))
    ) {
      throw new Conflict('another write came first');
    }
    throw error;
  }
};
