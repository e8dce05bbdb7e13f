// Webhook messages of a media and what became of them (`GET /api/media/{id}/deliveries`).

export interface DeliveryAttempt {
  at: string;
  /** HTTP status of the endpoint's answer, if there was one. */
  status?: number;
  error?: string;
  durationMs?: number;
  /** The beginning of the answer's body. */
  response?: string;
}

export interface Delivery {
  /** The `webhook-id` of the message. */
  messageId: string;
  /** Such as `media.ready`. */
  type: string;
  /** Its number within the media. */
  sequence: number;
  /** Where it goes. */
  endpointId: string;
  /** `disabled`: not tried any more, because the endpoint is disabled or gone. */
  state: 'pending' | 'delivered' | 'failed' | 'disabled';
  attempts: DeliveryAttempt[];
  /** When the next attempt is due, while it is pending. */
  nextAttemptAt?: string;
}

export interface DeliveryPage {
  items: Delivery[];
}
