import './page';
import { expect, test } from 'vitest';
import { Switch } from '../src/views/Switch';
import { TimeField } from '../src/views/TimeField';
import { drawn } from './drawn';

const drawing = () => new Promise((resolve) => setTimeout(resolve, 20));

/** A switch whose saving ends when the test says so. */
function switched() {
  const ends: { saved(): void; failed(): void }[] = [];
  const props = {
    label: 'Quiet hours',
    on: false,
    onChange: (on: boolean) => new Promise<void>((resolve) => {
      ends.push({ saved: () => { props.on = on; resolve(); }, failed: resolve });
    }),
  };
  // What is drawn again is drawn with the properties as they are then.
  const input = drawn(() => Switch(props), {});
  const turn = (checked: boolean) => (input('input')!.onChange as (event: object) => void)({ currentTarget: { checked } });
  const now = () => [input('input')!.checked, input('input')!['aria-busy']];
  return { ends, turn, now };
}

test('a switch stays where it was put while that is saved, and after it', async () => {
  const { ends, turn, now } = switched();
  turn(true);
  await drawing();
  expect(now()).toEqual([true, true]);
  ends[0]!.saved();
  await drawing();
  expect(now()).toEqual([true, false]);
});

test('a switch goes back where what it was put to can’t be saved', async () => {
  const { ends, turn, now } = switched();
  turn(true);
  await drawing();
  ends[0]!.failed();
  await drawing();
  expect(now()).toEqual([false, false]);
});

test('a switch that is turned twice waits for the second time', async () => {
  const { ends, turn, now } = switched();
  turn(true);
  await drawing();
  turn(false);
  ends[0]!.saved();
  await drawing();
  expect(now()).toEqual([false, true]);
  ends[1]!.saved();
  await drawing();
  expect(now()).toEqual([false, false]);
});

test('a time stays as it was written while it is saved, once', async () => {
  const saved: number[] = [];
  let end = () => undefined as void;
  const props = {
    minute: 60,
    onSave: (minute: number) => new Promise<void>((resolve) => {
      saved.push(minute);
      end = () => { props.minute = minute; resolve(); };
    }),
  };
  const input = drawn(() => TimeField(props), {});
  const does = (what: string, event = {}) => (input('input')![what] as (event: object) => void)(event);
  does('onInput', { currentTarget: { value: '02:00' } });
  await drawing();
  does('onKeyDown', { key: 'Enter' });
  await drawing();
  does('onBlur');
  expect([input('input')!.value, saved]).toEqual(['02:00', [120]]);
  end();
  await drawing();
  expect(input('input')!.value).toBe('02:00');
  // From now on it shows what is kept.
  does('onInput', { currentTarget: { value: '' } });
  await drawing();
  does('onBlur');
  await drawing();
  expect([input('input')!.value, saved]).toEqual(['02:00', [120]]);
});
