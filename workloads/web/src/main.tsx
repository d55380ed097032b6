// Starts the client.
import { render } from 'preact';
import './styles/index.css';
import { begin } from './session/lifecycle';
import { startHeartbeat } from './session/presence';
import { startPush } from './session/push';
import { startReading } from './session/reading';
import { startRouting } from './session/route';
import { startTheme } from './session/theme';
import { startToday } from './session/today';
import { startWorker } from './session/worker';
import { App } from './views/App';

startTheme();
startToday();
startRouting();
startReading();
startHeartbeat();
startPush();
void begin();
render(<App />, document.getElementById('app')!);
startWorker();
