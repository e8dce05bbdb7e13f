// Webhook messages of a media and what became of them (`GET /api/media/{id}/deliveries`).

export interface DeliveryAttempt {
  at: string;
  /** HTTP status of the endpoint's answer, if there was one. */
  status?: number;
  error?: string;
}

export interface Delivery {
  /** The `webhook-id` of the message. */
  id: string;
  /** Such as `media.ready`. */
  type: string;
  sequence?: number;
  /** Where it goes. */
  url?: string;
  endpointId?: string;
  /** `pending`, `delivered`, `failed`, … */
  state: string;
  attempts: DeliveryAttempt[];
  /** When the next attempt is due, while it is pending. */
  nextAttemptAt?: string;
}

export interface DeliveryPage {
  items: Delivery[];
}
