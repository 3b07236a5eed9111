/* Without this script all points are shown, one after the other. */
{
  const points = data.front, articles = [...document.querySelectorAll('#front-points .point')];
  const slider = byId('front-slider');
  const show = () => {
    const chosen = Number(slider.value), point = points[chosen];
    articles.forEach((article, i) => { article.hidden = i !== chosen; });
    byId('front-value').textContent = point.label;
    slider.setAttribute('aria-valuetext', point.label);
    const dots = points.map((p, i) => [Math.log(p.cost), p.score, i === chosen]);
    chart(byId('front-chart'), dots, {dots, cursor: Math.log(point.cost), writeX: (v) => short(Math.exp(v))});
  };
  byId('front-choice').hidden = false;
  slider.max = points.length - 1;
  slider.value = points.length - 1;
  slider.addEventListener('input', show);
  show();
}
