// Types of ahsocket.js and of ahsocket.mjs.

/** "connecting": before the first `connected`; "reconnecting": lost, and being taken up again; "disconnected": closed. */
export type State = "connecting" | "connected" | "reconnecting" | "disconnected";

export interface Options {
  /** The server's address, with a namespace if one is meant; default: the page's own origin. */
  url?: string;
  /** Socket.IO's `io` function; default: the global one, in Node that of socket.io-client. */
  io?: (...args: any[]) => any;
  /** Milliseconds until a request without a response fires `timeout`; default 30000. */
  responseTimeout?: number;
  /** Whether a lost connection is taken up again; default true. */
  reconnection?: boolean;
  /** Attempts before `disconnected`; default Infinity. */
  reconnectionAttempts?: number;
  /** Milliseconds before the first attempt, doubled for each further one; default 1000. */
  reconnectionDelay?: number;
  /** The longest delay, in milliseconds; default 10000. */
  reconnectionDelayMax?: number;
  /** How far a delay is spread, from 0 to 1; default 0.5. */
  randomizationFactor?: number;
  /** false: connect() starts the connection; default true. */
  autoConnect?: boolean;
  /** Where Socket.IO is served; default "/socket.io". */
  path?: string;
  transports?: string[];
  /** Shown when connecting, to servers that ask for a token; a function is asked at each connection. */
  token?: string | (() => string | Promise<string>);
  /** Sent when connecting, instead of `token`. */
  auth?: { [key: string]: any } | ((callback: (data: object) => void) => void);
  /** Further options of Socket.IO's client. */
  [option: string]: any;
}

export interface Response {
  context: "response";
  /** "OK" for every verb but `action`. */
  status?: string;
  error?: string;
  messageCount: number;
  [key: string]: any;
}

export interface Details {
  params: { [name: string]: any };
  public: { id: string; connectedAt: number };
  room: string;
  totalActions: number;
  pendingActions: number;
}

export interface RoomStatus {
  room: string;
  members: string[];
  membersCount: number;
}

export interface Say {
  message: any;
  room: string;
  /** The speaker's public id. */
  from: string;
  context: "user";
  /** Epoch milliseconds. */
  sentAt: number;
}

/** Said by the server before it closes the connection. */
export interface Bye {
  bye: "bye";
  reason: string;
  context: "api";
  /** Milliseconds after which to come back. */
  retryAfter: number;
}

/** Why the server is about to close the connection, and whether to come back. */
export interface Closing {
  code: string;
  reason: string;
  reconnect: boolean;
  /** Milliseconds after which to come back. */
  retryAfter?: number;
  context: "api";
}

export interface Welcome {
  welcome: string;
  room: string;
  context: "api";
}

/** `delta`: milliseconds from the request to its response. */
export type Next<R extends Response = Response> = (error: string | null, response: R | null, delta: number) => void;

/** What a Promise is rejected with: `message` is the server's `error`. */
export interface RequestError extends Error {
  response: Response | null;
}

export interface RoomResponse extends Response {
  room: string;
}

export interface RoomViewResponse extends RoomResponse {
  roomStatus: RoomStatus;
}

export interface DetailsResponse extends Response {
  details: Details;
}

export interface Events {
  connected: (details: Details) => void;
  reconnected: (details: Details) => void;
  disconnected: (reason: string, closing: Closing | null) => void;
  closing: (message: Closing) => void;
  /** The next attempt comes in `delay` milliseconds. */
  reconnecting: (delay: number, attempt: number) => void;
  welcome: (message: Welcome) => void;
  say: (message: Say | Bye) => void;
  timeout: (event: string, params: object, next: Next) => void;
  error: (error: Error) => void;
}

export class AHsocket {
  constructor(options?: Options | null, connectCallback?: (details: Details) => void);
  constructor(connectCallback: (details: Details) => void);

  readonly state: State;
  /** What detailsView said last; empty before the first `connected`. */
  readonly details: Details;
  readonly room: string | null;
  /** The rooms listened to. */
  readonly listening: Set<string>;
  readonly transport: "websocket" | "polling" | null;
  readonly id: string | null;
  responseTimeout: number;
  /** Socket.IO's own socket. */
  readonly ws: any;

  action(name: string, params: object | null | undefined, next: Next): void;
  action(name: string, next: Next): void;
  action(name: string, params?: object | null): Promise<Response>;

  say(message: any, next: Next): void;
  say(message: any): Promise<Response>;

  roomView(next: Next<RoomViewResponse>): void;
  roomView(): Promise<RoomViewResponse>;

  roomChange(room: string, next: Next<RoomResponse>): void;
  roomChange(room: string): Promise<RoomResponse>;

  listenToRoom(room: string, next: Next<RoomResponse>): void;
  listenToRoom(room: string): Promise<RoomResponse>;

  silenceRoom(room: string, next: Next<RoomResponse>): void;
  silenceRoom(room: string): Promise<RoomResponse>;

  detailsView(next: Next<DetailsResponse>): void;
  detailsView(): Promise<DetailsResponse>;

  /** Close the connection for good. */
  quit(): void;
  /** Connect now: after `disconnected`, or instead of waiting for the next attempt. */
  connect(): void;

  on<E extends keyof Events>(event: E, listener: Events[E]): this;
  once<E extends keyof Events>(event: E, listener: Events[E]): this;
  off<E extends keyof Events>(event: E, listener: Events[E]): this;
  addListener<E extends keyof Events>(event: E, listener: Events[E]): this;
  removeListener<E extends keyof Events>(event: E, listener: Events[E]): this;
  removeAllListeners(event?: keyof Events): this;
}

export { AHsocket as actionHeroWebSocket };
export default AHsocket;

declare global {
  interface Window {
    AHsocket: typeof AHsocket;
    actionHeroWebSocket: typeof AHsocket;
  }
}
